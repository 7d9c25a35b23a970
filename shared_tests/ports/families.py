"""The families of transformers that exist in more than one framework.

One line is one family: its configuration class, what is small in it, the
model class without the prefix Flax or TF, the frameworks beside PyTorch
("f" Flax, "t" TensorFlow), and what it gets (inputs.py).
"""

from typing import NamedTuple

from shared_tests.ports import inputs
from shared_tests.ports.inputs import VOCABULARY, text, translation


class Family(NamedTuple):
    config: str
    options: dict
    model: str
    frameworks: str
    inputs: object


WORDS = dict(vocab_size=VOCABULARY)
TINY = dict(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
)
BERT = dict(**WORDS, **TINY)
NARROW = dict(**BERT, embedding_size=16)
GROUPED = dict(**BERT, num_key_value_heads=2)
ENDS = dict(pad_token_id=0, bos_token_id=1, eos_token_id=2)
PADDED_BY_1 = dict(**BERT, pad_token_id=1, max_position_embeddings=40)
GPT = dict(**WORDS, n_embd=32, n_layer=2, n_head=4)
GPT_64 = dict(**GPT, n_positions=64)
BOTH = dict(
    **WORDS,
    **ENDS,
    d_model=32,
    encoder_layers=2,
    decoder_layers=2,
    encoder_attention_heads=4,
    decoder_attention_heads=4,
    encoder_ffn_dim=64,
    decoder_ffn_dim=64,
    decoder_start_token_id=1,
    dropout=0.0,
)
BART = dict(**BOTH, max_position_embeddings=32)
T5 = dict(
    **WORDS,
    d_model=32,
    d_kv=8,
    d_ff=64,
    num_layers=2,
    num_heads=4,
    pad_token_id=0,
    decoder_start_token_id=0,
)
VIT = dict(image_size=16, patch_size=8, **TINY)
SOUND = dict(
    **BERT,
    conv_dim=(16, 16, 16),
    conv_stride=(5, 2, 2),
    conv_kernel=(10, 3, 3),
    num_feat_extract_layers=3,
    num_conv_pos_embeddings=16,
    num_conv_pos_embedding_groups=2,
)
CAPTION = dict(**BERT, **ENDS, max_position_embeddings=20)
STAGES = dict(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1])
RELATIVE = dict(
    **BERT, relative_attention=True, pos_att_type=["p2c", "c2p"]
)
# a decoder narrower than the encoder, so that there is a projection
CROSSED = dict(is_decoder=True, add_cross_attention=True)
SMALLER = dict(
    model_type="gpt2",
    **WORDS,
    n_embd=16,
    n_layer=2,
    n_head=2,
    **CROSSED,
)

# fmt: off
FAMILIES = {
    # encoders of text
    "bert": Family("BertConfig", BERT, "BertForMaskedLM", "ft", text),
    "roberta": Family("RobertaConfig", PADDED_BY_1, "RobertaForMaskedLM", "ft", text),
    "roberta_prelayernorm": Family("RobertaPreLayerNormConfig", PADDED_BY_1, "RobertaPreLayerNormForMaskedLM", "ft", text),
    "xlm_roberta": Family("XLMRobertaConfig", PADDED_BY_1, "XLMRobertaForMaskedLM", "ft", text),
    "camembert": Family("CamembertConfig", PADDED_BY_1, "CamembertForMaskedLM", "t", text),
    "albert": Family("AlbertConfig", NARROW, "AlbertForMaskedLM", "ft", text),
    "electra": Family("ElectraConfig", NARROW, "ElectraForMaskedLM", "ft", text),
    "distilbert": Family("DistilBertConfig", dict(**WORDS, dim=32, hidden_dim=64, n_layers=2, n_heads=4), "DistilBertForMaskedLM", "ft", text),
    "roformer": Family("RoFormerConfig", dict(**BERT, embedding_size=32), "RoFormerForMaskedLM", "ft", text),
    "big_bird": Family("BigBirdConfig", dict(**BERT, attention_type="original_full"), "BigBirdForMaskedLM", "f", text),
    "convbert": Family("ConvBertConfig", NARROW, "ConvBertForMaskedLM", "t", text),
    "deberta": Family("DebertaConfig", dict(**RELATIVE, max_relative_positions=16), "DebertaModel", "t", text),
    "deberta_v2": Family("DebertaV2Config", dict(**RELATIVE, share_att_key=True, max_position_embeddings=32), "DebertaV2Model", "t", text),
    "dpr": Family("DPRConfig", BERT, "DPRQuestionEncoder", "t", text),
    "esm": Family("EsmConfig", dict(**PADDED_BY_1, position_embedding_type="rotary", mask_token_id=2), "EsmForMaskedLM", "t", text),
    "flaubert": Family("FlaubertConfig", dict(**WORDS, emb_dim=32, n_layers=2, n_heads=4), "FlaubertWithLMHeadModel", "t", text),
    "funnel": Family("FunnelConfig", dict(**WORDS, block_sizes=[1, 1], num_decoder_layers=1, d_model=32, n_head=4, d_head=8, d_inner=64), "FunnelForMaskedLM", "t", text),
    "layoutlm": Family("LayoutLMConfig", dict(**BERT, max_2d_position_embeddings=64), "LayoutLMForMaskedLM", "t", inputs.page),
    "longformer": Family("LongformerConfig", dict(**PADDED_BY_1, attention_window=4), "LongformerForMaskedLM", "t", text),
    "mobilebert": Family("MobileBertConfig", dict(**NARROW, true_hidden_size=32, intra_bottleneck_size=32), "MobileBertForMaskedLM", "t", text),
    "mpnet": Family("MPNetConfig", BERT, "MPNetForMaskedLM", "t", text),
    "rembert": Family("RemBertConfig", dict(**BERT, input_embedding_size=16, output_embedding_size=16), "RemBertForMaskedLM", "t", text),
    "tapas": Family("TapasConfig", dict(**BERT, max_position_embeddings=64), "TapasForMaskedLM", "t", inputs.table),
    "xlm": Family("XLMConfig", dict(**WORDS, emb_dim=32, n_layers=2, n_heads=4), "XLMWithLMHeadModel", "t", text),
    "xlnet": Family("XLNetConfig", dict(**WORDS, d_model=32, n_layer=2, n_head=4, d_inner=64), "XLNetLMHeadModel", "t", text),
    # decoders of text
    "bloom": Family("BloomConfig", dict(**WORDS, **ENDS, hidden_size=32, n_layer=2, n_head=4), "BloomForCausalLM", "f", text),
    "ctrl": Family("CTRLConfig", dict(**GPT, dff=64), "CTRLLMHeadModel", "t", text),
    "gemma": Family("GemmaConfig", dict(**GROUPED, head_dim=8), "GemmaForCausalLM", "f", text),
    "gpt2": Family("GPT2Config", GPT_64, "GPT2LMHeadModel", "ft", text),
    "gpt_neo": Family("GPTNeoConfig", dict(**WORDS, hidden_size=32, num_layers=2, num_heads=4, attention_types=[[["global", "local"], 1]], window_size=4, max_position_embeddings=64), "GPTNeoForCausalLM", "f", text),
    "gptj": Family("GPTJConfig", dict(**GPT_64, rotary_dim=4), "GPTJForCausalLM", "ft", text),
    "llama": Family("LlamaConfig", GROUPED, "LlamaForCausalLM", "f", text),
    "mistral": Family("MistralConfig", dict(**GROUPED, head_dim=8, sliding_window=4, max_position_embeddings=64), "MistralForCausalLM", "ft", text),
    "openai": Family("OpenAIGPTConfig", GPT, "OpenAIGPTLMHeadModel", "t", text),
    "opt": Family("OPTConfig", dict(**WORDS, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, ffn_dim=64, word_embed_proj_dim=32, max_position_embeddings=64), "OPTForCausalLM", "ft", text),
    "xglm": Family("XGLMConfig", dict(**WORDS, d_model=32, ffn_dim=64, num_layers=2, attention_heads=4, max_position_embeddings=64), "XGLMForCausalLM", "ft", text),
    # from text to text
    "bart": Family("BartConfig", BART, "BartForConditionalGeneration", "ft", translation),
    "blenderbot": Family("BlenderbotConfig", BART, "BlenderbotForConditionalGeneration", "ft", translation),
    "blenderbot_small": Family("BlenderbotSmallConfig", BART, "BlenderbotSmallForConditionalGeneration", "ft", translation),
    "led": Family("LEDConfig", dict(**BOTH, attention_window=4, max_encoder_position_embeddings=32, max_decoder_position_embeddings=32), "LEDForConditionalGeneration", "t", translation),
    "longt5": Family("LongT5Config", dict(**T5, local_radius=3), "LongT5ForConditionalGeneration", "f", translation),
    "marian": Family("MarianConfig", BART, "MarianMTModel", "ft", translation),
    "mbart": Family("MBartConfig", BART, "MBartForConditionalGeneration", "ft", translation),
    "mt5": Family("MT5Config", T5, "MT5ForConditionalGeneration", "ft", translation),
    "pegasus": Family("PegasusConfig", BART, "PegasusForConditionalGeneration", "ft", translation),
    "t5": Family("T5Config", T5, "T5ForConditionalGeneration", "ft", translation),
    # images
    "beit": Family("BeitConfig", dict(**WORDS, **VIT, use_relative_position_bias=True), "BeitForImageClassification", "f", inputs.image),
    "convnext": Family("ConvNextConfig", dict(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1]), "ConvNextForImageClassification", "t", inputs.image_32),
    "convnextv2": Family("ConvNextV2Config", dict(num_stages=2, hidden_sizes=[8, 16], depths=[1, 1]), "ConvNextV2ForImageClassification", "t", inputs.image_32),
    "cvt": Family("CvtConfig", dict(embed_dim=[8, 16, 32], num_heads=[1, 2, 4], depth=[1, 2, 3], image_size=64), "CvtForImageClassification", "t", inputs.image_64),
    "data2vec_vision": Family("Data2VecVisionConfig", dict(**VIT, use_relative_position_bias=True), "Data2VecVisionForImageClassification", "t", inputs.image),
    "deit": Family("DeiTConfig", VIT, "DeiTModel", "t", inputs.image),
    "dinov2": Family("Dinov2Config", VIT, "Dinov2Model", "f", inputs.image),
    "mobilevit": Family("MobileViTConfig", dict(image_size=32, patch_size=2, hidden_sizes=[16, 24, 32], neck_hidden_sizes=[8, 8, 16, 16, 24, 24, 32], num_attention_heads=2), "MobileViTModel", "t", inputs.image_32),
    "regnet": Family("RegNetConfig", dict(**STAGES, groups_width=4), "RegNetForImageClassification", "ft", inputs.image_32),
    "resnet": Family("ResNetConfig", STAGES, "ResNetForImageClassification", "ft", inputs.image_32),
    "sam": Family(
        "SamConfig",
        dict(
            vision_config=dict(**TINY, image_size=32, patch_size=8, output_channels=16, window_size=2, global_attn_indexes=[1], num_pos_feats=8),
            prompt_encoder_config=dict(hidden_size=16, image_size=32, patch_size=8, mask_input_channels=4),
            mask_decoder_config=dict(hidden_size=16, mlp_dim=32, num_hidden_layers=2, num_attention_heads=2, iou_head_hidden_dim=16),
        ),
        "SamModel",
        "t",
        inputs.pointed,
    ),
    "segformer": Family("SegformerConfig", dict(num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[3, 3], strides=[2, 2], num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16), "SegformerForSemanticSegmentation", "t", inputs.image_32),
    "swiftformer": Family("SwiftFormerConfig", dict(image_size=64, depths=[1, 1, 1, 1], embed_dims=[8, 12, 16, 20]), "SwiftFormerForImageClassification", "t", inputs.image_64),
    "swin": Family("SwinConfig", dict(image_size=16, patch_size=2, embed_dim=16, depths=[2, 2], num_heads=[2, 2], window_size=4), "SwinModel", "t", inputs.image),
    "vit": Family("ViTConfig", VIT, "ViTForImageClassification", "ft", inputs.image),
    "vit_mae": Family("ViTMAEConfig", dict(**VIT, decoder_hidden_size=16, decoder_num_hidden_layers=2, decoder_num_attention_heads=2, decoder_intermediate_size=32), "ViTMAEForPreTraining", "t", inputs.masked_image),
    # sound
    "hubert": Family("HubertConfig", SOUND, "HubertModel", "t", inputs.sound),
    "speech_to_text": Family("Speech2TextConfig", dict(**BOTH, num_conv_layers=2, conv_channels=16, input_feat_per_channel=16, max_source_positions=40, max_target_positions=32), "Speech2TextForConditionalGeneration", "t", inputs.spoken),
    "wav2vec2": Family("Wav2Vec2Config", SOUND, "Wav2Vec2Model", "t", inputs.sound),
    "wav2vec2_layer": Family("Wav2Vec2Config", dict(**SOUND, feat_extract_norm="layer", do_stable_layer_norm=True), "Wav2Vec2Model", "ft", inputs.sound),
    "whisper": Family("WhisperConfig", dict(**BOTH, num_mel_bins=16, max_source_positions=20, max_target_positions=20), "WhisperForConditionalGeneration", "ft", inputs.spectrum),
    # images with text
    "blip": Family("BlipConfig", dict(text_config=CAPTION, vision_config=dict(**VIT, num_channels=3), projection_dim=16), "BlipModel", "t", inputs.captioned),
    "clip": Family("CLIPConfig", dict(text_config=CAPTION, vision_config=VIT, projection_dim=16), "CLIPModel", "ft", inputs.captioned),
    "groupvit": Family(
        "GroupViTConfig",
        dict(text_config=CAPTION, vision_config=dict(hidden_size=32, intermediate_size=64, depths=[1, 1, 1], num_hidden_layers=3, num_group_tokens=[4, 3, 0], num_output_groups=[4, 3, 0], num_attention_heads=4, image_size=16, patch_size=4), projection_dim=16, projection_intermediate_dim=32),
        "GroupViTModel",
        "t",
        inputs.captioned,
    ),
    "idefics": Family("IdeficsConfig", dict(**BERT, additional_vocab_size=0, cross_layer_interval=1, vision_config=dict(embed_dim=32, image_size=16, patch_size=8, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)), "IdeficsForVisionText2Text", "t", inputs.illustrated),
    "layoutlmv3": Family("LayoutLMv3Config", dict(**PADDED_BY_1, max_2d_position_embeddings=64, coordinate_size=6, shape_size=4, input_size=16, patch_size=8), "LayoutLMv3Model", "t", inputs.seen_page),
    "lxmert": Family("LxmertConfig", dict(**WORDS, hidden_size=32, num_attention_heads=4, intermediate_size=64, l_layers=2, x_layers=1, r_layers=1, visual_feat_dim=16, visual_pos_dim=4), "LxmertModel", "t", inputs.regions),
    # made of two models of the families above
    "encoder_decoder": Family(
        "EncoderDecoderConfig",
        dict(encoder=dict(model_type="bert", **BERT), decoder=dict(model_type="bert", **{**BERT, "hidden_size": 16}, **CROSSED)),
        "EncoderDecoderModel",
        "ft",
        translation,
    ),
    "vision_encoder_decoder": Family("VisionEncoderDecoderConfig", dict(encoder=dict(model_type="vit", **VIT), decoder=SMALLER), "VisionEncoderDecoderModel", "ft", inputs.image_to_text),
    "speech_encoder_decoder": Family("SpeechEncoderDecoderConfig", dict(encoder=dict(model_type="wav2vec2", **SOUND, feat_extract_norm="layer", do_stable_layer_norm=True), decoder=SMALLER), "SpeechEncoderDecoderModel", "f", inputs.sound_to_text),
    "vision_text_dual_encoder": Family("VisionTextDualEncoderConfig", dict(vision_config=dict(model_type="vit", **VIT), text_config=dict(model_type="bert", **BERT), projection_dim=16), "VisionTextDualEncoderModel", "ft", inputs.captioned),
    "rag": Family(
        "RagConfig",
        dict(question_encoder=dict(model_type="dpr", **BERT), generator=dict(model_type="bart", **BART, output_hidden_states=True), n_docs=inputs.DOCUMENTS, do_marginalize=True),
        "RagTokenForGeneration",
        "t",
        inputs.retrieved,
    ),
}
# fmt: on
