"""Eq. 2 against loops over the positions in float64."""

import math

import pytest
import torch

from sketchfast.nn import PhotoAttention


@pytest.mark.parametrize("kernel", [1, 3])
def test_equation_2_by_loops(kernel: int, seed: int) -> None:
    torch.manual_seed(seed)
    batch, channels, height, width, hidden, dim = 2, 3, 3, 4, 5, 6
    attention = PhotoAttention(channels, hidden, dim, kernel).double()
    features, h = torch.randn(batch, channels, height, width).double(), torch.randn(batch, hidden).double()
    with torch.no_grad():
        glimpse, alpha = attention(attention.prepare(features), h)
    assert glimpse.shape == (batch, channels) and alpha.shape == (batch, height, width)
    w_b, b_b = attention.of_photo.weight.tolist(), attention.of_photo.bias.tolist()
    w_s, w_a = attention.of_state.weight.tolist(), attention.score.weight[0].tolist()
    reach = kernel // 2
    for b in range(batch):
        scores = {}
        for i in range(height):
            for j in range(width):
                score = 0.0
                for a in range(dim):
                    total = b_b[a] + sum(w_s[a][k] * float(h[b, k]) for k in range(hidden))
                    for c in range(channels):
                        for di in range(-reach, reach + 1):
                            for dj in range(-reach, reach + 1):
                                if 0 <= i + di < height and 0 <= j + dj < width:
                                    weight = w_b[a][c][di + reach][dj + reach]
                                    total += weight * float(features[b, c, i + di, j + dj])
                    score += w_a[a] * math.tanh(total)
                scores[i, j] = math.exp(score)
        norm = sum(scores.values())
        for (i, j), value in scores.items():
            assert float(alpha[b, i, j]) == pytest.approx(value / norm, rel=1e-9)
        for c in range(channels):
            expected = sum(value / norm * float(features[b, c, i, j]) for (i, j), value in scores.items())
            assert float(glimpse[b, c]) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_gradients(seed: int) -> None:
    torch.manual_seed(seed)
    attention = PhotoAttention(2, 3, 4).double()

    def look(features: torch.Tensor, h: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return attention(attention.prepare(features), h)

    features = torch.randn(2, 2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(look, (features, torch.randn(2, 3).double().requires_grad_()))


def test_errors_name_the_argument() -> None:
    with pytest.raises(ValueError, match="dim must be at least 1, got 0"):
        PhotoAttention(3, 4, 0)
    with pytest.raises(ValueError, match="kernel must be odd, got 2"):
        PhotoAttention(3, 4, 5, 2)
    with pytest.raises(ValueError, match=r"features must have the shape \[B, 3, h, w\], got \[1, 2, 4, 4\]"):
        PhotoAttention(3, 4, 5).prepare(torch.zeros(1, 2, 4, 4))
