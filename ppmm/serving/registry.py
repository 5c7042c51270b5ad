"""The served bundles by name, as KServe's data plane asks for them."""

from __future__ import annotations

from typing import Any

from kserve import Model, ModelRepository

from ppmm.serving.refusals import Unknown
from ppmm.serving.service import Service
from ppmm.serving.tensors import described

__all__ = ["Bundles", "Served"]


class Served(Model):
    """One bundle for the protocol's metadata and health; requests go to its `Service`."""

    def __init__(self, service: Service) -> None:
        super().__init__(service.name)
        self.service = service

    async def healthy(self) -> bool:
        return self.service.ready

    async def get_input_types(self) -> list[dict[str, Any]]:
        return described(self.service.predictor)[0]

    async def get_output_types(self) -> list[dict[str, Any]]:
        return described(self.service.predictor)[1]


class Bundles(ModelRepository):
    """Those that the server was started with; ``load`` takes a new version of one, others cannot be added."""

    def __init__(self, services: list[Service]) -> None:
        super().__init__(models_dir="")
        self.services = {service.name: service for service in services}
        for service in services:
            self.update(Served(service))

    def service(self, name: str | None) -> Service:
        """The one of that name, or the only one. Raises Unknown."""
        if name is None and len(self.services) == 1:
            return next(iter(self.services.values()))
        if name not in self.services:
            raise Unknown(f"no model '{name}'; there is {', '.join(self.services)}")
        return self.services[name]

    async def load(self, name: str) -> bool:  # type: ignore[override]
        """Take the version that lies in the bundle's folder now; the old one stays where it is refused."""
        await self.service(name).load()
        return True

    def unload(self, name: str) -> None:
        """Not offered: what is served is said at the start."""
        raise NotImplementedError("models are named when the server starts; stop the server to unload one")
