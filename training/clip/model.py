"""The network: Hugging Face's CLIPModel, small, and how it is fed."""

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import CLIPConfig, CLIPModel

import scenes
import tokenizer

WIDTH = 128
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def config(words: Tokenizer) -> CLIPConfig:
    end, start = words.token_to_id(tokenizer.END), words.token_to_id(tokenizer.START)
    common = dict(hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_attention_heads=4, projection_dim=WIDTH, hidden_act="quick_gelu")
    text = dict(num_hidden_layers=3, max_position_embeddings=32, vocab_size=words.get_vocab_size(), bos_token_id=start, eos_token_id=end, pad_token_id=end)
    vision = dict(num_hidden_layers=4, image_size=scenes.SIDE, patch_size=8)
    return CLIPConfig(text_config=text | common, vision_config=vision | common, projection_dim=WIDTH)


def create(words: Tokenizer) -> CLIPModel:
    # On a processor, in bfloat16, PyTorch's own attention takes 1.7 times as long as the plain one.
    return CLIPModel._from_config(config(words), attn_implementation="eager")


def pixels(pictures: list[Image.Image]) -> Tensor:
    """[n, 3, 64, 64], from 0 to 1."""
    return torch.from_numpy(np.stack([np.asarray(picture) for picture in pictures])).permute(0, 3, 1, 2).contiguous().float() / 255


def normalize(pictures: Tensor) -> Tensor:
    return (pictures - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def tokens(words: Tokenizer, texts: list[str]) -> Tensor:
    """Padded with the end token: the first one is pooled, and sees none of those after it."""
    rows = [torch.tensor(line.ids) for line in words.encode_batch(texts)]
    return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=words.token_to_id(tokenizer.END))


def picture_vectors(model: CLIPModel, pictures: Tensor) -> Tensor:
    return model.visual_projection(model.vision_model(pixel_values=normalize(pictures)).pooler_output).float()


def text_vectors(model: CLIPModel, ids: Tensor) -> Tensor:
    return model.text_projection(model.text_model(input_ids=ids).pooler_output).float()
