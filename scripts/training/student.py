"""The student: some of the encoder's layers under a one-logit head, with a trimmed vocabulary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import BertConfig, BertForSequenceClassification, BertModel

from training.vocabulary import SPECIAL

LAYERS = (0, 1, 3, 5)


def write_tokenizer(source: Path, target: Path, tokens: list[str], max_length: int) -> None:
    """Write the tokenizer's files with the kept tokens, renumbered, and no truncation or padding of its own."""
    ids = {token: i for i, token in enumerate(tokens)}
    data = json.loads((source / "tokenizer.json").read_text(encoding="utf-8"))
    data["truncation"] = data["padding"] = None
    data["model"]["vocab"] = ids
    for added in data["added_tokens"]:
        added["id"] = ids[added["content"]]
    for special in data["post_processor"].get("special_tokens", {}).values():
        special["ids"] = [ids[token] for token in special["tokens"]]
    for key in ("sep", "cls"):  # the older BertProcessing form
        if key in data["post_processor"]:
            data["post_processor"][key][1] = ids[data["post_processor"][key][0]]
    target.mkdir(parents=True, exist_ok=True)
    (target / "tokenizer.json").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    (target / "vocab.txt").write_text("\n".join(tokens) + "\n", encoding="utf-8")
    special_map = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": max_length, **special_map}
    (target / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    (target / "special_tokens_map.json").write_text(json.dumps(special_map, indent=2) + "\n")


def build(source: Path, tokens: list[str], old_ids: dict[str, int]) -> BertForSequenceClassification:
    """Return the student with the encoder's weights for the kept layers and tokens, and a fresh head."""
    teacher = BertModel.from_pretrained(source)
    config = BertConfig.from_pretrained(source)
    config.vocab_size, config.num_hidden_layers, config.num_labels = len(tokens), len(LAYERS), 1
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0  # one pass over the data; twice as fast
    config._attn_implementation = "eager"  # its backward pass is faster than SDPA's on a CPU
    student = BertForSequenceClassification(config)
    state = {
        name: value for name, value in teacher.state_dict().items() if not name.startswith(("encoder.", "pooler."))
    }
    words = "embeddings.word_embeddings.weight"
    state[words] = _rows(state[words], tokens, old_ids)
    for new, old in enumerate(LAYERS):
        state |= {
            name.replace(f"layer.{old}.", f"layer.{new}.", 1): value
            for name, value in teacher.state_dict().items()
            if name.startswith(f"encoder.layer.{old}.")
        }
    missing, unexpected = student.bert.load_state_dict(state, strict=False)
    if unexpected or any(not name.startswith("pooler.") and "position_ids" not in name for name in missing):
        raise RuntimeError(f"the encoder's layout is not the one expected: {missing} {unexpected}")
    return student


def retokenize(
    model: BertForSequenceClassification, source: Path, tokens: Sequence[str], old_ids: Mapping[str, int]
) -> None:
    """Give a trained student another vocabulary: the encoder's rows, which training leaves as they are."""
    rows = _rows(BertModel.from_pretrained(source).embeddings.word_embeddings.weight.detach(), tokens, old_ids)
    embedding = torch.nn.Embedding(rows.shape[0], rows.shape[1], padding_idx=model.config.pad_token_id)
    embedding.weight.data = rows.clone()
    model.set_input_embeddings(embedding)
    model.config.vocab_size = len(tokens)


def _rows(embeddings: torch.Tensor, tokens: Sequence[str], ids: Mapping[str, int]) -> torch.Tensor:
    return embeddings[torch.tensor([ids[token] for token in tokens])]
