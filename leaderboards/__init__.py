"""Show finished runs: leaderboard tables, one self-contained page, the numbers that others reported."""
