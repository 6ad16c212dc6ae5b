"""Generation of labels: geometries in, converged PySCF Hamiltonians out."""
