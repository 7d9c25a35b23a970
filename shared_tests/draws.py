"""The words in which the table of cases is written.

A Draw says how the numbers of one array are drawn, a Case is one row of
cases.py. Nothing is drawn here: make_fixtures.py does.
"""

from typing import NamedTuple


class Draw(NamedTuple):
    """Numbers for one array, exact in float32."""

    shape: tuple
    scale: float = 1.0
    offset: float = 0.0
    values: tuple = ()  # these numbers instead of random ones
    allow: float | None = None  # a mask: the share that may be attended
    closed: tuple = ()  # rows of a mask where nothing may be
    classes: int = 0  # integer labels below it
    whole: bool = False  # the values are integers


class Case(NamedTuple):
    layer: str
    name: str
    config: dict
    inputs: dict
    flags: frozenset
    reason: str
    params: dict  # drawn here instead of from the default distribution
    like: str = ""  # the case whose numbers and budgets it has to meet
    training: dict | None = None  # loss, rule, lr: a training run

    @property
    def id(self):
        return f"{self.layer}-{self.name}"

    @property
    def fixture(self):
        return self.like or self.id


def normal(*shape, scale=1.0, offset=0.0):
    """Normal draws of that standard deviation around that mean."""
    return Draw(shape, scale, offset)


def values(*numbers):
    """A vector of just these numbers."""
    return Draw((len(numbers),), values=numbers)


def number(value):
    """That one number, without an axis."""
    return Draw((), values=(value,))


def whole(*numbers, shape=None):
    shape = (len(numbers),) if shape is None else shape
    return Draw(shape, values=numbers, whole=True)


def zeros(*shape):
    return Draw(shape, scale=0.0)


def mask(*shape, allow=0.6, closed=()):
    """Booleans, True = may attend; closed rows are False throughout."""
    return Draw(shape, allow=allow, closed=closed)


def labels(*shape, classes):
    """Integers from 0 to classes - 1."""
    return Draw(shape, classes=classes)


def case(layer, name, config, inputs, flags, reason, params=None):
    flags = frozenset(flags.split())
    return Case(
        layer, name, config, inputs, flags, reason, params or {}
    )


def trained(layer, name, config, x, target, loss, rule, lr, reason):
    """20 steps of training.py, one batch a step, first axis the step;
    x is a shape, or makes the draw as target does."""
    x = x(20) if callable(x) else normal(20, *x)
    inputs = dict(x=x, target=target(20))
    training = dict(loss=loss, rule=rule, lr=lr)
    flags = f"training {rule}"
    one = case(layer, name, config, inputs, flags, reason)
    return one._replace(training=training)


def numbers(*shape):
    return lambda steps: normal(steps, *shape)


def classes(batch, count):
    return lambda steps: labels(steps, batch, classes=count)


def ids(*shape, below):
    return lambda steps: labels(steps, *shape, classes=below)


def variant(of, layer, **config):
    """The same case by another page: same numbers, same budgets."""
    return of._replace(
        layer=layer, config=of.config | config, like=of.fixture
    )


def steps(scale, zero_point=0, **more):
    """One scale and one zero point, or one for each channel."""
    if isinstance(scale, tuple):
        pair = values(*scale), whole(*zero_point)
    else:
        pair = number(scale), whole(zero_point, shape=())
    return dict(scale=pair[0], zero_point=pair[1]) | more


def qkv(q, k, **more):
    """Inputs of attention: q and k with these shapes, v shaped as k."""
    return dict(q=normal(*q), k=normal(*k), v=normal(*k)) | more
