"""Where the stream of a caller stands whose answer breaks off and is continued, in the events of the middle form."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.usage import Usage
from tollway.dialects.body import Fields
from tollway.dialects.generation.answer import Delta, Event, Metered, PartEnded, PartStarted, Started, Stopped
from tollway.dialects.generation.dialect import StreamEncoder
from tollway.dialects.generation.request import Text, Thinking


class Resumption:
    """Where the caller's stream stands, over however many deployments."""

    def __init__(self, encoder: StreamEncoder, fields: Fields) -> None:
        """`encoder` has written all of it so far; `fields`: of the request, as the caller sent it."""
        self.encoder = encoder
        self.fields = fields
        self.taken_up = 0
        self._text: list[str] = []
        self._parts = 0
        self._part: type | None = None
        """What kind of part came last."""
        self._is_open = False
        """It has not ended."""
        self._skips = False
        """The open part of the new stream is not passed on."""
        self._is_unfinished = True
        self._is_words = True
        """Nothing but thoughts and text has come."""

    def note(self, events: Sequence[Event]) -> None:
        """What the caller has been told."""
        for event in events:
            match event:
                case PartStarted():
                    self._part = event.part.__class__
                    self._is_words = self._is_words and self._part in (Text, Thinking)
                    self._parts, self._is_open = self._parts + 1, True
                case Delta() if self._part is Text:
                    self._text.append(event.text)
                case PartEnded():
                    self._is_open = False
                case Stopped():
                    self._is_unfinished = False

    def interrupt(self) -> str:
        """The text of the answer so far; empty if it cannot be taken up, being complete, or more than text."""
        self._skips = False
        can_go_on = self._is_unfinished and self._is_words and self._part is Text
        text = "".join(self._text)
        return text if can_go_on and text.strip() else ""

    def go_on(self, events: Sequence[Event], before: Usage) -> list[Event]:
        """Events of the new stream as events of the one that goes on. `before`: used by those that broke off."""
        passed: list[Event] = []
        for event in events:
            for one in self._passed(event, before):
                self.note((one,))
                passed.append(one)
        return passed

    def _passed(self, event: Event, before: Usage) -> tuple[Event, ...]:
        closing: tuple[Event, ...] = (PartEnded(),) if self._is_open else ()
        match event:
            case Started():
                return ()
            case Metered():
                return (Metered(before.plus(event.usage)),)
            case PartStarted(part=Thinking()):
                self._skips = True  # the answer itself has begun: thoughts come before it
                return ()
            case PartEnded() if self._skips:
                self._skips = False
                return ()
            case PartStarted(part=Text()) if self._is_open:
                return ()
            case PartStarted():
                return (*closing, PartStarted(event.part, self._parts))
            case Stopped():
                return (*closing, event)
        return () if self._skips else (event,)
