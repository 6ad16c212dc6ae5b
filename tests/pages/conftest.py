"""A molecule whose page is looked at."""

import pytest
from ase.build import molecule
from fock import solved

from hampred.inference import Prediction


@pytest.fixture(scope="package")
def water() -> Prediction:
    """Five occupied orbitals and two empty ones."""
    return solved(molecule("H2O"))
