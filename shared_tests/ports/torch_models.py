"""35 models of public libraries, small, with random weights and inputs.

make(name, seed) returns a float32 module and its inputs, which are
tensors by the names of forward's arguments. Those of transformers come
with plain and with fused attention ("sdpa"), those with batch norm and
dropout of 0 also in training.
"""

import numpy as np

from shared_tests.ports import families, inputs
from shared_tests.ports.inputs import VOCABULARY, floats, ids

IMAGE = (2, 3, 32, 32)


def transformers_model(config, model, attention="eager", **options):
    import transformers

    found = getattr(transformers, config)(**options)
    found._attn_implementation = attention
    if hasattr(found, "use_cache"):
        found.use_cache = False
    return getattr(transformers, model)(found).eval()


def of_family(name, attention="eager", **options):
    """[a model as in families.py, with other options]"""
    family = families.FAMILIES[name]
    options = {**family.options, **options}
    model = transformers_model(
        *(family.config, family.model, attention), **options
    )
    return model, family.inputs


def llama_like(config, model, attention="eager", **options):
    options = {**families.GROUPED, **options}
    return (
        transformers_model(config, model, attention, **options),
        inputs.plain,
    )


def torchvision_model(make, shape=IMAGE, train=False):
    from torchvision import models

    return make(models).train(train), drawn(x=shape)


def drawn(**shapes):
    """A function of (rng) that draws float inputs of these shapes."""
    return lambda rng: {k: floats(rng, *s) for k, s in shapes.items()}


def tokens(**shapes):
    return lambda rng: {k: ids(rng, *s) for k, s in shapes.items()}


# --- torchvision


def resnet(models):
    block = models.resnet.BasicBlock
    return models.ResNet(block, [1, 1, 1, 1], num_classes=5)


def mobilenet(models):
    return models.mobilenet_v3_small(num_classes=5)


def vision_transformer(models):
    return models.VisionTransformer(
        image_size=16,
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=32,
        mlp_dim=64,
        num_classes=5,
    )


def swin(models):
    return models.SwinTransformer(
        patch_size=[2, 2],
        embed_dim=16,
        depths=[2, 2],
        num_heads=[2, 2],
        window_size=[4, 4],
        num_classes=5,
    )


def convnext(models):
    block = models.convnext.CNBlockConfig
    stages = [block(16, 32, 1), block(32, None, 1)]
    return models.ConvNeXt(stages, num_classes=5)


def efficientnet(models):
    """Its first stages: swish, squeeze and excitation, batch norms."""
    from torch import nn

    model = models.efficientnet_b0(
        num_classes=5, dropout=0.0, stochastic_depth_prob=0.0
    )
    model.features = model.features[:4]
    model.classifier = nn.Linear(40, 5)
    return model


def segmentation_head():
    """Dilated convolutions, pooling, bilinear interpolation."""
    from torch import nn
    from torchvision import models

    head = models.segmentation.deeplabv3.DeepLabHead(8, 4, (2, 3))
    larger = nn.Upsample(scale_factor=2, mode="bilinear")
    model = nn.Sequential(head, larger).eval()
    return model, drawn(input=(1, 8, 7, 9))


# --- torch.nn


def recurrent(kind):
    from torch import nn

    both = kind == "LSTM"
    return (
        getattr(nn, kind)(
            8, 12, 2, batch_first=True, bidirectional=both
        ),
        drawn(input=(2, 7, 8)),
    )


def encoder(train):
    from torch import nn

    layer = nn.TransformerEncoderLayer(
        32, 4, 64, dropout=0.0, batch_first=True
    )
    model = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return model.train(train), drawn(src=(2, 7, 32))


def cross_attention():
    from torch import nn

    model = nn.MultiheadAttention(32, 4, batch_first=True)
    shapes = dict(query=(2, 7, 32), key=(2, 9, 32), value=(2, 9, 32))
    return model, drawn(**shapes)


def u_net():
    """Group and instance norms, pooling, transposed convolution."""
    from torch import nn
    from torch.nn import functional as f

    class UNet(nn.Module):
        def __init__(self):
            super().__init__()
            self.down = nn.Conv2d(3, 8, 3, padding=1)
            self.down_norm = nn.GroupNorm(2, 8)
            self.deep = nn.Conv2d(8, 16, 3, padding=1)
            self.deep_norm = nn.InstanceNorm2d(16, affine=True)
            self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
            self.join = nn.Conv2d(
                16, 8, 3, padding=1, padding_mode="reflect"
            )
            self.last = nn.Conv2d(16, 2, 1)

        def forward(self, x):
            high = f.silu(self.down_norm(self.down(x)))
            low = self.deep(f.max_pool2d(high, 2))
            low = f.leaky_relu(self.deep_norm(low), 0.1)
            joined = f.elu(self.join(f_cat(self.up(low), high)))
            smooth = f.interpolate(
                f.avg_pool2d(joined, 2),
                scale_factor=2,
                mode="bilinear",
                align_corners=False,
            )
            sharp = f.interpolate(
                f.max_pool2d(joined, 2), scale_factor=2, mode="nearest"
            )
            return self.last(f_cat(smooth + sharp, high))

    def f_cat(*parts):
        import torch

        return torch.cat(parts, dim=1)

    return UNet(), drawn(x=(2, 3, 12, 12))


def bags():
    from torch import nn

    class Bags(nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = nn.EmbeddingBag(VOCABULARY, 16, mode="mean")
            self.total = nn.EmbeddingBag(VOCABULARY, 16, mode="sum")
            self.linear = nn.Linear(16, 4)

        def forward(self, x):
            return self.linear(self.mean(x) * self.total(x))

    return Bags(), tokens(x=(3, 6))


def perceptron():
    """Batch norm in evaluation, softplus, mish, hardswish, log softmax."""
    from torch import nn

    return nn.Sequential(
        nn.Linear(16, 32),
        nn.BatchNorm1d(32),
        nn.Softplus(),
        nn.Dropout(0.5),
        nn.Linear(32, 32),
        nn.Mish(),
        nn.LayerNorm(32),
        nn.Hardswish(),
        nn.Linear(32, 4),
        nn.LogSoftmax(-1),
    ).eval(), drawn(input=(5, 16))


def batch_norm():
    from torch import nn

    return nn.BatchNorm2d(6).train(), drawn(input=(4, 6, 5, 5))


def losses():
    import torch
    from torch import nn
    from torch.nn import functional as f

    class Losses(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(8, 6)

        def forward(self, x, target):
            y, other = self.linear(x), x[:, :6]
            return dict(
                cross_entropy=f.cross_entropy(y, target),
                smoothed=f.cross_entropy(
                    y, target, label_smoothing=0.1
                ),
                smooth_l1=f.smooth_l1_loss(y, other),
                mse=f.mse_loss(y, other),
                binary=f.binary_cross_entropy_with_logits(
                    y, (other > 0).to(y.dtype)
                ),
                divergence=f.kl_div(
                    f.log_softmax(y, -1),
                    f.softmax(other, -1),
                    reduction="batchmean",
                ),
                cosine=f.cosine_similarity(y, other),
                unit=f.normalize(y),
                running=torch.cumsum(y, 1),
                log_sum=torch.logsumexp(y, 1),
                norm=torch.linalg.vector_norm(y),
                std=y.std(),
                var=y.var(1),
                outer=torch.einsum("bi,bj->ij", y, y),
                product=y.prod(1),
            )

    def draw(rng):
        return dict(**floats_of(rng), target=np.array([0, 1, 2, 3, 5]))

    floats_of = drawn(x=(5, 8))
    return Losses(), draw


def mamba():
    model = transformers_model(
        *("MambaConfig", "MambaForCausalLM"),
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        state_size=8,
    )
    return model, tokens(input_ids=(2, 9))


MODELS = {
    "resnet": lambda: torchvision_model(resnet),
    "resnet_train": lambda: torchvision_model(resnet, train=True),
    "mobilenet": lambda: torchvision_model(mobilenet),
    "tv_vit": lambda: torchvision_model(
        vision_transformer, (2, 3, 16, 16)
    ),
    "tv_swin": lambda: torchvision_model(swin, (1, 3, 16, 16)),
    "tv_convnext": lambda: torchvision_model(convnext),
    "efficientnet_train": lambda: torchvision_model(
        efficientnet, train=True
    ),
    "segmentation_head": segmentation_head,
    "bert": lambda: of_family("bert"),
    "bert_sdpa": lambda: of_family("bert", "sdpa"),
    "gpt2": lambda: of_family("gpt2"),
    "t5": lambda: of_family("t5", feed_forward_proj="gated-gelu"),
    "llama": lambda: of_family("llama"),
    "llama_sdpa": lambda: of_family("llama", "sdpa"),
    "mistral": lambda: of_family("mistral"),
    "mixtral": lambda: llama_like(
        "MixtralConfig", "MixtralForCausalLM", num_local_experts=4
    ),
    "gemma2": lambda: llama_like(
        "Gemma2Config", "Gemma2ForCausalLM", head_dim=8
    ),
    "whisper": lambda: of_family("whisper"),
    "vit": lambda: of_family("vit"),
    "clip": lambda: of_family("clip"),
    "mamba": mamba,
    "wav2vec2": lambda: of_family("wav2vec2", mask_time_prob=0.0),
    "deberta_v2": lambda: of_family("deberta_v2"),
    "funnel": lambda: of_family("funnel"),
    "bart": lambda: of_family("bart"),
    "lstm": lambda: recurrent("LSTM"),
    "gru": lambda: recurrent("GRU"),
    "transformer_encoder": lambda: encoder(train=False),
    "transformer_encoder_train": lambda: encoder(train=True),
    "cross_attention": cross_attention,
    "u_net": u_net,
    "embedding_bag": bags,
    "perceptron": perceptron,
    "batch_norm_train": batch_norm,
    "losses": losses,
}


def make(name, seed):
    """(module, {argument: array}); the module is in float32."""
    import torch

    from shared_tests.ports import hugging

    torch.manual_seed(seed)
    module, draw = MODELS[name]()
    hugging.spread(module, seed, 1.0)
    if hasattr(module, "tie_weights"):
        module.tie_weights()
    return module.float(), draw(np.random.default_rng(seed))
