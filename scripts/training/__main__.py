"""Makes the bundled model from start to finish: `scripts/train_demo_model`. Takes up where it was stopped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import torch
from elasticsearch import Elasticsearch
from tokenizers import Tokenizer
from transformers import BertForSequenceClassification

from training import bundle, encoder, mine, student, train

TARGET = Path(__file__).parents[2] / "sidecar" / "bundled" / "minilm-l4-rescorer"
_POSITIONS = 512


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elasticsearch", required=True, help="URL of a node to mine negatives with")
    parser.add_argument("--data", type=Path, required=True, help="folder of the training collections")
    parser.add_argument("--work", type=Path, required=True, help="folder for mined groups and checkpoints")
    parser.add_argument("--output", type=Path, default=TARGET, help="folder of the finished model")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    return parser.parse_args()


def main() -> None:
    """Mine, build the student, train, write."""
    args = arguments()
    torch.set_num_threads(args.threads)
    args.work.mkdir(parents=True, exist_ok=True)
    settings = train.Settings()
    source = encoder.pretrained_dir()
    mined = args.work / "groups.jsonl"
    if not mined.exists():
        client = Elasticsearch(args.elasticsearch, request_timeout=120)
        mine.write(client, args.data, mined, encoder.SentenceEncoder(source), settings.seed)
    model, tokenizer = _student(source, mined, args.output)
    train.train(model, tokenizer, mined, args.work, settings)
    bundle.write(model, args.output, {"layers": student.LAYERS, "settings": asdict(settings)})


def _student(source: Path, mined: Path, output: Path) -> tuple[BertForSequenceClassification, Tokenizer]:
    whole = Tokenizer.from_file(str(source / "tokenizer.json"))
    whole.no_truncation()
    whole.no_padding()
    ids = whole.get_vocab()
    tokens = student.kept_tokens(ids, dict.fromkeys(_texts(mined)), whole, student.VOCABULARY)
    student.write_tokenizer(source, output, tokens, _POSITIONS)
    return student.build(source, tokens, ids), Tokenizer.from_file(str(output / "tokenizer.json"))


def _texts(mined: Path) -> Iterator[str]:
    with mined.open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield from (row["query"], *row["texts"])


if __name__ == "__main__":
    main()
