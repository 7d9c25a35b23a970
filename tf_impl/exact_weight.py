"""exact_weight: a weight that no dtype policy of Keras casts.

keras 3.15.1: while a layer with the policy "mixed_float16" is called,
its weights are float16. Steps and ranges of a quantizer have to stay
what they are, else convert would find other codes than training had.
"""


# region function
def exact_weight(layer, shape, start, name: str):
    return layer.add_weight(shape, start, name=name, autocast=False)


# endregion
