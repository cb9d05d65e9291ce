"""Other machines: the sums and maps over shards of `lsi.laplace.design_matrix.Design`, on workers of Ray."""
