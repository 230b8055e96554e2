"""The language of the curriculum paper: a generator of tiny programs with what they print, and its test set."""

from harness.tinypy.corpus import Example, Recipe, examples, key_of
from harness.tinypy.grammar import Level
from harness.tinypy.testset import keys_of_test_set
from harness.tinypy.training import training_examples, write_training_files

__all__ = [
    "Example",
    "Level",
    "Recipe",
    "examples",
    "key_of",
    "keys_of_test_set",
    "training_examples",
    "write_training_files",
]
