"""Side-by-side measurements; each module writes JSON with its environment to `benchmarks/results/`."""
