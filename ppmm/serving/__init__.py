"""A server for bundles: the Open Inference Protocol v2 over REST and gRPC, friendly routes, batching, a web page."""

__all__: list[str] = []
