"""What all of them are.

To add a thing of the API to the SDK:

1. Its fields, here in `resources/`: a `Resource` with a default for each field that the server may leave out; export it
   in `resources/__init__.py`.
2. Its calls, in `sdk/`, written once for both clients (see `modes.py`):

       class Widgets(Collection[Mode, Widget]):
           resource = Widget
           name = "widgets"  # `list` and `get` are there with this

           @operation
           async def create(self, spec: Mapping[str, Any]) -> Widget:
               return await self._post(Widget, self._address("widgets"), body_of(spec))

           @stream
           def parts(self, widget: str | Widget) -> AsyncIterator[Part]:
               return self._pages(Part, self._address("widgets", id_of(widget), "parts"))

   Within one, others are awaited: `await self.get(id)`; another collection is `self._part(Jobs)`.
3. Its attribute of the client, in `client.py`: `self.widgets: Widgets[Mode] = self._part(Widgets)`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Resource(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True, protected_namespaces=())

    identity: ClassVar[str] = "id"
    """The field by which the API knows it: `id`, or `name` where names are unique in a project."""

    @property
    def key(self) -> str:
        """Its id, or its name: what the calls about it take."""
        return str(getattr(self, self.identity))

    def dump(self) -> dict[str, Any]:
        """As JSON-ready data, unknown fields included."""
        return self.model_dump(mode="json")
