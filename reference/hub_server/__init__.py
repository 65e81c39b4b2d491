"""A stand-in for the Hugging Face hub: as much of its interface as fetching a model needs, with faults on demand."""

from reference.hub_server.repository import Repository
from reference.hub_server.server import HubServer, Request

__all__ = ["HubServer", "Repository", "Request"]
