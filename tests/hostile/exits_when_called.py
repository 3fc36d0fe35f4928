"""A component that prints, then ends the process, when it is called."""

from multiattn import Normaliser, hookimpl


@hookimpl
def multiattn_components():
    yield Normaliser(name="exits", target="exits_when_called:Exits", summary="ends the process")


class Exits:
    def __call__(self, text):
        print("goodbye \x1b[31m\udc80")
        raise SystemExit(0)

    def signature(self):
        return "exits"
