"""Configurations of the encoder's trainings: what each starts from, which code it sees, and what its loss is."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from distill.code_sources import CodeSources
from distill.encoder_objectives import ContrastSettings, ExitSettings, MaskingSettings
from distill.scratch import SAVED_TYPES
from distill.train_settings import TrainSettings

KINDS = BYTES, PARTS = ("bytes", "parts")


class EncoderTokenizer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tokens: byte-level BPE with so many of them, made from the code at hand, or those of a model by its name.

    Made tokens are of all `bytes`, or of `parts`: words and parts of identifiers in lower case, without signs.
    `<sep>`, `<cls>` and `<mask>` come on top.
    """

    vocabulary: int | None = None
    kind: str = BYTES
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.vocabulary is None) == (self.name is None):
            raise ValueError("tokenizer: give either vocabulary or name")
        if self.vocabulary is not None and self.vocabulary < 257:
            raise ValueError(f"vocabulary {self.vocabulary}: at least 257, all bytes and the end of a text")
        if self.kind not in KINDS:
            raise ValueError(f"tokenizer kind {self.kind!r}: {' or '.join(KINDS)}")
        if self.name is not None and self.kind != BYTES:
            raise ValueError("a model's tokens are what they are: leave kind out, or name")


class EncoderStart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a training starts from: an encoder's checkpoint, or random weights with a tokenizer.

    `fields` are those of `MultiExitEncoderConfig`; behind `model` only dropouts and `num_labels` can change.
    """

    model: str | None = None
    tokenizer: EncoderTokenizer | None = None
    fields: dict[str, Any] = {}

    def __post_init__(self) -> None:
        if (self.model is None) == (self.tokenizer is None):
            raise ValueError("start: give either model, or tokenizer with fields")
        if self.model is not None and (fixed := sorted(self.fields.keys() - CHANGEABLE)):
            raise ValueError(f"fields.{fixed[0]} is the checkpoint's: change only {', '.join(sorted(CHANGEABLE))}")


CHANGEABLE = frozenset({"attention_dropout", "embedding_dropout", "num_labels", "residual_dropout"})


class _EncoderTraining(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all three trainings have. `seed` makes the first weights and draws the rows.

    Texts of more than `max_length` tokens lose their ends; None is what the encoder's context holds.
    """

    start: EncoderStart
    training: TrainSettings
    data: CodeSources = CodeSources()
    exits: ExitSettings = ExitSettings()
    max_length: int | None = None
    save_as: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.save_as not in SAVED_TYPES:
            raise ValueError(f"save_as {self.save_as!r}: one of {', '.join(SAVED_TYPES)}")
        if self.training.lora is not None or self.training.window is not None:
            raise ValueError("an encoder trains all of its weights on whole rows: leave lora and window out")
        if self.training.max_length is not None:
            raise ValueError("training.max_length leaves rows out, and an encoder's are cut: give max_length")
        if self.max_length is not None and self.max_length < 8:
            raise ValueError(f"max_length {self.max_length}: at least 8 tokens")


class PretrainEncoder(_EncoderTraining, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Masked tokens and in-context classification, on rows of `snippets` texts each (1: no context to classify)."""

    masking: MaskingSettings = MaskingSettings()
    snippets: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.snippets < 1:
            raise ValueError(f"snippets {self.snippets}: at least 1")
        if self.snippets == 1 and self.masking.context:
            raise ValueError("masking.context: a row of one text has no context to classify; set it to 0")


class BagSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the tokens' embeddings are learnt before any layer is: as bags, whose means find one another.

    The rate falls linearly. The other settings are those of the training behind it.
    """

    steps: int
    batch_size: int = 512
    learning_rate: float = 0.01

    def __post_init__(self) -> None:
        if min(self.steps, self.batch_size) < 1 or self.learning_rate <= 0:
            raise ValueError("bag: steps and batch_size are at least 1, and learning_rate is above 0")


class TuneRetrieval(_EncoderTraining, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Descriptions find functions. The instructions stand before each side; `{language}` is the code's.

    So many `translations` join them: programs of TinyPy that find themselves in JavaScript, code to code. With `bag`,
    embeddings of tokens are learnt first, for encoders that pool by the mean.
    """

    contrast: ContrastSettings = ContrastSettings()
    bag: BagSettings | None = None
    translations: int = 0
    query_instruction: str | None = None
    code_instruction: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.translations < 0:
            raise ValueError(f"translations {self.translations}: at least 0")


class TuneClasses(_EncoderTraining, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pairs of code are clones or not: those of a folder in CodeXGLUE's format, else made of the code of `data`."""

    clones: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.clones is not None and self.data != CodeSources():
            raise ValueError("data changes nothing beside clones: leave it out")


class Sees(StrEnum):
    """What of a task its tier is told by."""

    QUESTION = "question"  # its words
    SOLUTION = "solution"  # the function of its reference solution, without words
    BOTH = "both"


class KnownTiers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tasks whose tiers are known: a source of questions, a task file to train on, or a dev split, by its name.

    A source without end gives `count` tasks, by `seed`. The tiers are those of the file `tiers`, which `harness tiers`
    writes, else the tasks' own, else those of the difficulty of their solutions.
    """

    tasks: str
    count: int | None = None
    seed: int = 0
    tiers: str | None = None

    def __post_init__(self) -> None:
        if self.count is not None and self.count < 1:
            raise ValueError(f"count {self.count}: at least 1")
        if self.count is None and self.seed:
            raise ValueError("seed changes nothing without a count: leave it out")


class TuneTiers(_EncoderTraining, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Tasks have the tiers that are `known`; each is told by what the encoder `sees` of it.

    Tasks that give one of the benchmarks in `apart_from` away are left out: those whose tiers are to be predicted.
    """

    known: tuple[KnownTiers, ...]
    apart_from: tuple[str, ...]
    sees: Sees = Sees.QUESTION

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.data != CodeSources():
            raise ValueError("data changes nothing where tiers are learnt of tasks: leave it out")
        if not self.known:
            raise ValueError("known: name at least one source of tasks with tiers")
