"""Makes the bundled model from start to finish: `scripts/train_demo_model`. Takes up where it was stopped."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path

import torch
from elasticsearch import Elasticsearch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

from training import bundle, encoder, mine, student, train, vocabulary

TARGET = Path(__file__).parents[2] / "sidecar" / "bundled" / "minilm-l4-rescorer"
_POSITIONS = 512


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", help="URL of a node to mine negatives with")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training collections")
    parser.add_argument("--work", type=Path, required=True, help="folder for mined groups and checkpoints")
    parser.add_argument("--output", type=Path, default=TARGET, help="folder of the finished model")
    parser.add_argument("--vocabulary-of", type=Path, metavar="MODEL", help="only give this student the vocabulary")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    """Mine, build the student, train, write."""
    args = arguments()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    settings = train.Settings()
    source = encoder.pretrained_dir()
    tokens, ids = _vocabulary(source, args.data)
    if args.vocabulary_of is not None:
        _retokenized(args.vocabulary_of, source, tokens, ids, args.output)
        return
    mined = args.work / "groups.jsonl"
    if not mined.exists():
        client = Elasticsearch(args.elasticsearch, request_timeout=120)
        mine.write(client, args.data, mined, encoder.SentenceEncoder(source), settings.seed)
    student.write_tokenizer(source, args.output, tokens, _POSITIONS)
    model, tokenizer = student.build(source, tokens, ids), Tokenizer.from_file(str(args.output / "tokenizer.json"))
    train.train(model, tokenizer, mined, args.work, settings)
    bundle.write(model, args.output, {"layers": student.LAYERS, "settings": asdict(settings)})


def _vocabulary(source: Path, data: Path) -> tuple[list[str], dict[str, int]]:
    """Return the tokens that are kept, and the encoder's ids of all."""
    whole = Tokenizer.from_file(str(source / "tokenizer.json"))
    whole.no_truncation()
    whole.no_padding()
    ids = whole.get_vocab()
    return vocabulary.kept(ids, vocabulary.use(data, whole), vocabulary.SIZE), ids


def _retokenized(model: Path, source: Path, tokens: list[str], ids: dict[str, int], output: Path) -> None:
    """Write a student with its weights and the vocabulary, and the record of how it was trained."""
    record = json.loads((model / "training_record.json").read_text())
    trained = BertForSequenceClassification.from_pretrained(model)
    student.retokenize(trained, source, tokens, ids)
    student.write_tokenizer(source, output, tokens, _POSITIONS)
    bundle.write(trained, output, {name: record[name] for name in ("layers", "settings", "steps")})


if __name__ == "__main__":
    main()
