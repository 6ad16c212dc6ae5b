"""Figures of bands."""

from pathlib import Path

import numpy as np
import pytest

from hampred.electronic.bands import Bands
from hampred.electronic.dos import density_of_states
from hampred.errors import HampredError
from hampred.evaluation.band_figure import save_band_figure


@pytest.fixture
def bands() -> Bands:
    """Two cosine bands on a path with a jump."""
    x = np.array([0.0, 0.1, 0.2, 0.2, 0.3, 0.4])
    energies = np.stack([0.05 * np.cos(8 * x) - 0.2, 0.1 - 0.05 * np.cos(8 * x)], axis=1)
    labels, ticks = ((0, "G"), (2, "X"), (3, "K"), (5, "G")), ((0.0, "G"), (0.2, "X|K"), (0.4, "G"))
    share = np.full_like(energies, 0.5)
    return Bands(np.outer(x, [1, 0, 0]), energies, 2.0, x, labels, ticks, characters={"Si s": share, "Si p": share})


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_figures_are_written(bands: Bands, tmp_path: Path, ending: str):
    mesh = Bands(bands.kpoints, bands.energies, 2.0, weights=np.full(6, 1 / 6))
    path = tmp_path / f"bands.{ending}"
    save_band_figure(path, bands, density_of_states(mesh), reference=bands, characters=["Si s", "Si p"])
    content = path.read_bytes()
    assert content[:4] == {"png": b"\x89PNG", "svg": b"<?xm", "pdf": b"%PDF"}[ending]


def test_lines_break_at_a_jump(bands: Bands):
    from hampred.evaluation.band_figure import _runs

    assert [(run.start, run.stop) for run in _runs(bands)] == [(0, 3), (3, 6)]


def test_what_cannot_be_drawn(bands: Bands, tmp_path: Path):
    mesh = Bands(bands.kpoints, bands.energies, 2.0, weights=np.full(6, 1 / 6))
    metal = Bands(bands.kpoints, bands.energies, 1.0, bands.distances, bands.labels, bands.ticks)
    path = tmp_path / "bands.png"
    for message, arguments in {
        "needs a path": (path, mesh),
        "Fermi level": (path, metal),
        "ends in": (tmp_path / "bands.bmp", bands),
    }.items():
        with pytest.raises(HampredError, match=message):
            save_band_figure(*arguments)
    with pytest.raises(HampredError, match="Si d; there are Si s, Si p"):
        save_band_figure(path, bands, characters=["Si d"])
    save_band_figure(path, metal, zero=-0.2, zero_name="Fermi level")
    assert path.exists()
