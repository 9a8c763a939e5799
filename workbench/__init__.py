"""What demo, benchmarks and tests are built on: API servers, processes, a simulated Azure, Prometheus."""
