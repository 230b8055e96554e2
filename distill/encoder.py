"""An encoder of code whose every exit embeds: bidirectional, and a text leaves it at the layer that time allows.

After ModularStarEncoder (MoSE, arXiv 2503.03008): StarCoder-2's blocks without their causal mask, with grouped-query
attention and rotary positions. Exits are layers whose states go through a shared norm into shared heads (masked tokens,
same repository or not, classes), which are told the layer by an embedding of `conditional_size`; for retrieval each
exit has a projection of its own. A text is `<sep> text <cls>`, or `<sep> instruction <sep> text <cls>`, filled up on
the left, and the state of `<cls>` stands for it; with `pooling: mean`, which the paper has not, the mean of its tokens'
states does, and projections begin as the identity, so that first weights already compare texts by their tokens.

Unlike the paper's model: the norm behind the last layer is used at every exit, and its heads' inner depth is ours.
`register` makes transformers' Auto classes know it.

Shapes: B rows, T tokens, H the hidden size, V vocabulary, D the size of an embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, Starcoder2Config, initialization
from transformers.masking_utils import create_bidirectional_mask
from transformers.models.starcoder2.modeling_starcoder2 import Starcoder2DecoderLayer, Starcoder2RotaryEmbedding
from transformers.utils import ModelOutput, logging

from distill.encoder_input import CLS, MEAN, POOLINGS, batches_by_length, packed_texts, padded
from harness import UsageError

PAPER_EXITS = (4, 9, 18, 27, 36)
_PAPER_THETA = 999999.4420358813


class MultiExitEncoderConfig(Starcoder2Config):
    """The shape of an encoder; the defaults are the paper's 1 B. Raises ValueError for exits that are no layers.

    Layers count from 1, and the last one is always an exit. `projection_size` None is the hidden size.
    `embedding_range` is the deviation of the tokens' first embeddings (None: `initializer_range`, that of all weights).
    `query_instruction` and `code_instruction` are those that retrieval was trained with; `{language}` in the second
    stands for the language's name.
    """

    model_type = "multi-exit-encoder"

    vocab_size: int = 49156
    hidden_size: int = 1024
    intermediate_size: int = 12288
    num_hidden_layers: int = 36
    num_attention_heads: int = 16
    num_key_value_heads: int = 4
    max_position_embeddings: int = 2048
    attention_dropout: float | int = 0.1
    residual_dropout: float | int = 0.1
    embedding_dropout: float | int = 0.1
    use_cache: bool = False
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    exit_layers: list[int] | tuple[int, ...] = PAPER_EXITS
    conditional_size: int = 4
    projection_size: int | None = None
    pooling: str = CLS
    embedding_range: float | None = None
    query_instruction: str | None = None
    code_instruction: str | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if getattr(self, "rope_parameters", None) is None:
            self.rope_parameters = {"rope_type": "default", "rope_theta": _PAPER_THETA}
        self.exit_layers = list(self.exit_layers)
        if self.projection_size is None:
            self.projection_size = self.hidden_size
        super().__post_init__(**kwargs)
        ascending = self.exit_layers == sorted(set(self.exit_layers))
        if not self.exit_layers or not ascending or self.exit_layers[0] < 1:
            raise ValueError(f"exit_layers {self.exit_layers}: numbers of layers from 1 on, ascending")
        if self.exit_layers[-1] != self.num_hidden_layers:
            raise ValueError(f"exit_layers {self.exit_layers}: the last of {self.num_hidden_layers} layers is missing")
        if self.num_attention_heads % self.num_key_value_heads or self.hidden_size % self.num_attention_heads:
            raise ValueError("hidden_size is a multiple of num_attention_heads, and that of num_key_value_heads")
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling {self.pooling!r}: {' or '.join(POOLINGS)}")


@dataclass
class MultiExitOutput(ModelOutput):
    """States behind the exits that were reached, in their order, each B x T x H; the last one of them by its name.

    `exit_vectors` are what stands for each row at these exits, B x H.
    """

    last_hidden_state: Any = None
    exit_states: Any = None
    exit_vectors: Any = None


class _Conditioned(nn.Module):
    """What all exits share of a head: a state with its layer's embedding -> dense, tanh-GELU, norm, ... x H."""

    def __init__(self, config: MultiExitEncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size + config.conditional_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)

    def forward(self, states: Any, layer: Any) -> Any:
        conditioned = torch.cat([states, layer.expand(*states.shape[:-1], -1).to(states.dtype)], -1)
        return self.norm(nn.functional.gelu(self.dense(conditioned), approximate="tanh"))


class MultiExitEncoder(PreTrainedModel):
    """The encoder with its heads: an ordinary model of transformers (`save_pretrained`, `push_to_hub`, ...)."""

    config_class = MultiExitEncoderConfig
    base_model_prefix = ""
    supports_gradient_checkpointing = True
    _no_split_modules = ("Starcoder2DecoderLayer",)
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, config: MultiExitEncoderConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.layers = nn.ModuleList(Starcoder2DecoderLayer(config, place) for place in range(config.num_hidden_layers))
        for layer in self.layers:
            layer.self_attn.is_causal = False
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.norm_epsilon)
        self.rotary_emb = Starcoder2RotaryEmbedding(config)
        self.exit_embeddings = nn.Embedding(len(config.exit_layers), config.conditional_size)
        self.token_head = _Conditioned(config)
        self.token_bias = nn.Parameter(torch.zeros(config.vocab_size))
        self.context_head = nn.ModuleList([_Conditioned(config), nn.Linear(config.hidden_size, 2)])
        self.class_head = nn.ModuleList([_Conditioned(config), nn.Linear(config.hidden_size, config.num_labels)])
        self.projections = nn.ModuleList(
            nn.Linear(config.hidden_size, config.projection_size) for _ in config.exit_layers
        )
        self.post_init()

    def get_input_embeddings(self) -> Any:
        return self.embed_tokens

    def set_input_embeddings(self, value: Any) -> None:
        self.embed_tokens = value

    def forward(self, input_ids: Any, attention_mask: Any = None, exit: int | None = None, **_: Any) -> MultiExitOutput:
        """Return the states at the exits up to `exit` (None: all). No layer behind that one is computed."""
        last = self.config.exit_layers[self.exit_place(exit)]
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        states = nn.functional.dropout(
            self.embed_tokens(input_ids), p=self.config.embedding_dropout, training=self.training
        )
        positions = (attention_mask.cumsum(-1) - 1).clamp(min=0)
        rotary = self.rotary_emb(states, position_ids=positions)
        mask = create_bidirectional_mask(config=self.config, inputs_embeds=states, attention_mask=attention_mask)
        exits, vectors = [], []
        for number, layer in enumerate(self.layers[:last], 1):
            states = layer(states, attention_mask=mask, position_ids=positions, position_embeddings=rotary)
            if number in self.config.exit_layers:
                exits.append(self.norm(states))
                vectors.append(self._pooled(states, attention_mask))
        return MultiExitOutput(last_hidden_state=exits[-1], exit_states=tuple(exits), exit_vectors=tuple(vectors))

    def _pooled(self, states_BTH: Any, attention_mask_BT: Any) -> Any:
        """Return what stands for each row, B x H. A mean is taken before the norm, so that long vectors count more."""
        if self.config.pooling == CLS:
            return self.norm(pooled(states_BTH, attention_mask_BT))
        counted_BT1 = attention_mask_BT[:, :, None].to(states_BTH.dtype)
        return self.norm((states_BTH * counted_BT1).sum(1) / counted_BT1.sum(1))

    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if module is self.embed_tokens and self.config.embedding_range is not None:
            initialization.normal_(module.weight, std=self.config.embedding_range)
        if self.config.pooling == MEAN and any(module is one for one in self.projections):
            initialization.eye_(module.weight)

    def exit_place(self, exit: int | None) -> int:
        """Return where an exit stands among `config.exit_layers` (None: the last). Raises UsageError for no exit."""
        exits = self.config.exit_layers
        if exit is None:
            return len(exits) - 1
        if exit not in exits:
            raise UsageError(f"layer {exit} is no exit of this encoder: use one of {', '.join(map(str, exits))}")
        return int(exits.index(exit))

    def token_logits(self, states: Any, place: int) -> Any:
        """Return scores of the vocabulary for states at the exit that stands at `place`: ... x H to ... x V.

        The tokens' own embeddings are the output's weights.
        """
        conditioned = self.token_head(states, self.exit_embeddings.weight[place])
        return nn.functional.linear(conditioned, self.embed_tokens.weight, self.token_bias)

    def context_logits(self, pooled_BH: Any, place: int) -> Any:
        """Return scores of "other repository" and "same repository", B x 2."""
        shared, out = self.context_head
        return out(shared(pooled_BH, self.exit_embeddings.weight[place]))

    def class_logits(self, pooled_BH: Any, place: int) -> Any:
        """Return scores of the classes that the encoder was fine-tuned for, B x `config.num_labels`."""
        shared, out = self.class_head
        return out(shared(pooled_BH, self.exit_embeddings.weight[place]))

    def project(self, pooled_BH: Any, place: int) -> Any:
        """Return the exit's embeddings, B x D, of length 1, in float32 at least."""
        projected = self.projections[place](pooled_BH)
        return nn.functional.normalize(projected.float() if projected.dtype != torch.float64 else projected, dim=-1)

    def encode(
        self,
        texts: Sequence[str],
        *,
        tokenizer: Any,
        exit: int | None = None,
        batch_size: int = 32,
        instruction: str | None = None,
    ) -> Any:
        """Return the texts' embeddings at an exit (None: the last): a float32 array, texts x D, rows of length 1.

        What does not fit into the context is cut off at a text's end. Texts of like length share a batch. Raises
        UsageError for a layer that is no exit.
        """
        place = self.exit_place(exit)
        rows = packed_texts(tokenizer, texts, self.config.max_position_embeddings, instruction)
        found = torch.empty(len(texts), self.config.projection_size)
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                for chosen in batches_by_length(rows, batch_size):
                    batch = padded([rows[one] for one in chosen], tokenizer.pad_token_id)
                    here = {name: tensor.to(self.device) for name, tensor in batch.items()}
                    vectors = self(**here, exit=exit).exit_vectors
                    found[chosen] = self.project(vectors[-1], place).float().cpu()
        finally:
            self.train(training)
        return found.numpy()


def pooled(states_BTH: Any, attention_mask_BT: Any) -> Any:
    """Return the state of each row's last token, `<cls>`, whichever side is filled up."""
    places = torch.arange(states_BTH.shape[1], device=states_BTH.device)
    last_B = (places * attention_mask_BT).argmax(-1)
    return states_BTH[torch.arange(len(last_B), device=last_B.device), last_B]


def truncated(model: MultiExitEncoder, exit: int) -> MultiExitEncoder:
    """Return a smaller encoder that ends at an exit: the same numbers, without the layers behind it."""
    exits = model.config.exit_layers[: model.exit_place(exit) + 1]
    fields = model.config.to_dict() | {"num_hidden_layers": exit, "exit_layers": exits}
    smaller = MultiExitEncoder(MultiExitEncoderConfig(**fields))
    smaller.to(device=model.device, dtype=model.dtype)
    kept = model.state_dict()
    kept["exit_embeddings.weight"] = kept["exit_embeddings.weight"][: len(exits)]
    smaller.load_state_dict({name: kept[name] for name in smaller.state_dict()})
    smaller.eval()
    return smaller


def load_encoder(folder: Path, **fields: Any) -> tuple[MultiExitEncoder, Any]:
    """Return the encoder of a folder and its tokenizer, with other values of its configuration where they are given.

    With another `num_labels`, the scores of classes begin anew. Raises UsageError for a folder with another model or
    none, or with weights missing.
    """
    register()
    logging.disable_progress_bar()  # transformers shows one for every file
    try:
        config = AutoConfig.from_pretrained(folder, **fields)
        if not isinstance(config, MultiExitEncoderConfig):
            raise UsageError(f"{folder} is a {config.model_type} model and no multi-exit encoder")
        model, notes = MultiExitEncoder.from_pretrained(
            folder, config=config, ignore_mismatched_sizes=True, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise UsageError(f"no encoder in {folder}: {str(error).splitlines()[0]}") from error
    named = [key if isinstance(key, str) else key[0] for key in notes["mismatched_keys"]]
    broken = {*notes["missing_keys"], *(key for key in named if not key.startswith("class_head.1."))}
    if broken:
        raise UsageError(
            f"{folder} is not whole: {min(broken)} is missing, or has another shape than its config.json says"
        )
    return model, tokenizer


def register() -> None:
    """Have transformers' AutoConfig and AutoModel load encoders; calling it again changes nothing."""
    AutoConfig.register(MultiExitEncoderConfig.model_type, MultiExitEncoderConfig, exist_ok=True)
    AutoModel.register(MultiExitEncoderConfig, MultiExitEncoder, exist_ok=True)
