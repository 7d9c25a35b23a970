"""What the small models get: token ids, masks, images, sound.

Each function takes a random generator and a batch, and returns the
inputs by the names that transformers gives them, as NumPy arrays. The
two rows of a batch of text differ in length where there is a mask.
Images have their channels first, in all the libraries that take them.
"""

import numpy as np

VOCABULARY = 61
SPECIAL = 3  # ids below this are padding, begin and end
DOCUMENTS = 3  # for each question of RAG


def ids(rng, batch, length):
    return rng.integers(SPECIAL, VOCABULARY, (batch, length))


def plain(rng, batch=2, length=11):
    """Text without padding."""
    return dict(
        input_ids=ids(rng, batch, length),
        attention_mask=np.ones((batch, length), np.int64),
    )


def text(rng, batch=2, length=11):
    """Text; the last row, of two or more, ends three tokens early."""
    found = plain(rng, batch, length)
    if batch > 1:
        found["attention_mask"][-1, -3:] = 0
    return found


def translation(rng, batch=2):
    """A text and the beginning of another one."""
    later = plain(rng, batch, 6)
    return dict(
        **text(rng, batch),
        decoder_input_ids=later["input_ids"],
        decoder_attention_mask=later["attention_mask"],
    )


def ending(rng, batch=2, length=9):
    """CLIP reads its text where the end is, which is id 2."""
    found = plain(rng, batch, length)
    found["input_ids"][:, -1] = 2
    return found


def floats(rng, *shape):
    return rng.standard_normal(shape).astype(np.float32)


def image(rng, batch=2):
    return dict(pixel_values=floats(rng, batch, 3, 16, 16))


def image_32(rng, batch=2):
    return dict(pixel_values=floats(rng, batch, 3, 32, 32))


def image_64(rng, batch=2):
    return dict(pixel_values=floats(rng, batch, 3, 64, 64))


def captioned(rng, batch=2):
    return dict(**ending(rng, batch), **image(rng, batch))


def sound(rng, batch=2):
    return dict(input_values=floats(rng, batch, 800))


def spectrum(rng, batch=2):
    """Whisper's: 16 mel bins, 40 moments."""
    return dict(
        input_features=floats(rng, batch, 16, 40),
        decoder_input_ids=ids(rng, batch, 6),
    )


def spoken(rng, batch=2):
    """Speech to text: 40 moments, 16 features each."""
    return dict(
        input_features=floats(rng, batch, 40, 16),
        attention_mask=np.ones((batch, 40), np.int64),
        decoder_input_ids=ids(rng, batch, 6),
    )


def boxes(rng, batch, length):
    """Corners of words on a page: left, top, right, bottom."""
    corner = rng.integers(0, 20, (batch, length, 2))
    size = rng.integers(1, 20, (batch, length, 2))
    return np.concatenate([corner, corner + size], axis=-1)


def page(rng, batch=2):
    found = text(rng, batch)
    return dict(**found, bbox=boxes(rng, batch, 11))


def seen_page(rng, batch=2):
    return dict(**page(rng, batch), **image(rng, batch))


def table(rng, batch=2):
    """A table's cells: seven kinds of token types for each token."""
    found = text(rng, batch)
    types = rng.integers(0, 2, (batch, 11, 7))
    return dict(**found, token_type_ids=types)


def regions(rng, batch=2):
    """LXMERT's: a text, and features and places of four regions."""
    return dict(
        **text(rng, batch),
        visual_feats=floats(rng, batch, 4, 16),
        visual_pos=rng.random((batch, 4, 4)).astype(np.float32),
    )


def masked_image(rng, batch=2):
    """ViT-MAE hides the patches for which this noise is large."""
    noise = rng.random((batch, 4)).astype(np.float32)
    return dict(**image(rng, batch), noise=noise)


def pointed(rng, batch=2):
    """SAM's: an image, and one point of it to segment."""
    point = rng.integers(4, 28, (batch, 1, 1, 2)).astype(np.float32)
    return dict(**image_32(rng, batch), input_points=point)


def illustrated(rng, batch=2):
    """Idefics': a text with one image."""
    found = plain(rng, batch)
    return dict(
        **found,
        pixel_values=floats(rng, batch, 1, 3, 16, 16),
        image_attention_mask=np.ones((batch, 11, 1), np.int64),
    )


def image_to_text(rng, batch=2):
    return dict(
        **image(rng, batch), decoder_input_ids=ids(rng, batch, 6)
    )


def sound_to_text(rng, batch=2):
    """The last row's sound ends early."""
    mask = np.ones((batch, 800), np.int64)
    mask[-1, 500:] = 0
    return dict(
        inputs=floats(rng, batch, 800),
        attention_mask=mask,
        decoder_input_ids=ids(rng, batch, 6),
    )


def retrieved(rng, batch=2):
    """RAG's, without a retriever: documents, and how well each fits."""
    documents = text(rng, batch * DOCUMENTS)
    return dict(
        context_input_ids=documents["input_ids"],
        context_attention_mask=documents["attention_mask"],
        doc_scores=floats(rng, batch, DOCUMENTS),
        decoder_input_ids=ids(rng, batch, 6),
    )
