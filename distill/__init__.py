"""Train small code models on what a harness run shows them to lack: report -> lessons -> training -> gate."""
