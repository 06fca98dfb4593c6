"""A model of open_clip with the interface that CLIP has in transformers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from robench import Tokens
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from robench_plugins.models.token_blocks import tokens_of
from robench_plugins.models.vision_towers import PROJECTION, TIMM_LAYERS, to_transformers


class OpenCLIPPair(nn.Module):
    """Both towers of a model of open_clip, behind the methods of transformers' ``CLIPModel``.

    A plain vision transformer becomes ``vision_model`` and ``visual_projection``, in transformers' modules with the
    same weights; open_clip's ``visual`` is then gone. Any other tower stays in ``model.visual``.
    """

    def __init__(self, model: Any, image_size: int) -> None:
        super().__init__()
        self.model = model
        self.config = SimpleNamespace(vision_config=SimpleNamespace(image_size=image_size))
        if (config := plain(model.visual)) is not None:
            tower = CLIPVisionModel._from_config(config)
            state = to_transformers(model.visual.state_dict())
            width, size = state.pop(PROJECTION).T.shape
            projection = nn.Linear(width, size, bias=False)
            projection.weight = nn.Parameter(model.visual.proj.detach().T.contiguous())
            tower.load_state_dict({name.removeprefix("vision_model."): value for name, value in state.items()})
            model.visual = None
            self.vision_model, self.visual_projection = tower.eval(), projection

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of the factor on the cosines."""
        scale: Tensor = self.model.logit_scale
        return scale

    @property
    def logit_bias(self) -> Tensor | None:
        """The bias on the scaled cosines, of models with a sigmoid loss."""
        bias: Tensor | None = getattr(self.model, "logit_bias", None)
        return bias

    def targets(self) -> dict[str, tuple[str, ...]]:
        """Return the linear layers of a tower of open_clip's own, by role.

        Its attention has query, key and value in one parameter, which is no layer.
        """
        if hasattr(self.visual, "trunk"):
            return dict(TIMM_LAYERS)
        return {"mlp_in": ("mlp.c_fc",), "mlp_out": ("mlp.c_proj",)}

    def tokens(self) -> Tokens | None:
        """Return how the blocks of a tower of open_clip's own take tokens."""
        visual, side = self.model.visual, self.config.vision_config.image_size
        weight = next(visual.parameters())
        pixels = torch.zeros(1, 3, side, side, device=weight.device, dtype=weight.dtype)
        return tokens_of(getattr(visual, "trunk", visual), self.parts().get("blocks"), lambda: visual(pixels))

    @property
    def visual(self) -> nn.Module | None:
        """A tower of open_clip's own; None if transformers' modules have taken its place."""
        visual: nn.Module | None = self.model.visual
        return visual

    def text_weights(self) -> dict[str, Any]:
        """Return the modules and parameters that make the embeddings of texts, by name."""
        inside = getattr(self.model, "text", None)
        if inside is not None:
            return {"text": inside}
        names = ("token_embedding", "positional_embedding", "transformer", "ln_final", "text_projection")
        return {name: getattr(self.model, name, None) for name in names}

    def get_image_features(self, pixel_values: Tensor, **more: bool) -> BaseModelOutputWithPooling:
        """Return the embeddings ``(N, D)``, of any length, as ``pooler_output``."""
        if hasattr(self, "vision_model"):
            features = self.visual_projection(self.vision_model(pixel_values=pixel_values, **more).pooler_output)
        else:
            features = self.model.encode_image(pixel_values, normalize=False)
        return BaseModelOutputWithPooling(pooler_output=features)

    def get_text_features(self, input_ids: Tensor) -> BaseModelOutputWithPooling:
        """Return the embeddings ``(N, D)``, of any length, as ``pooler_output``."""
        return BaseModelOutputWithPooling(pooler_output=self.model.encode_text(input_ids, normalize=False))

    def parts(self) -> dict[str, nn.Module]:
        """Return the parts of a tower of open_clip's own, by the names of :meth:`robench.Model.adaptable`."""
        visual = self.model.visual
        found: dict[str, nn.Module] = {"vision": visual}
        trunk = getattr(visual, "trunk", visual)
        sequences = [getattr(trunk, name, None) for name in ("blocks", "stages")]
        sequences.append(getattr(getattr(visual, "transformer", None), "resblocks", None))
        blocks = next((each for each in sequences if isinstance(each, nn.Sequential | nn.ModuleList)), None)
        if blocks is None and hasattr(visual, "layer1"):
            blocks = nn.ModuleList([getattr(visual, f"layer{number}") for number in range(1, 5)])
        return found if blocks is None else {**found, "blocks": nn.ModuleList(blocks)}


def plain(visual: Any) -> CLIPVisionConfig | None:
    """Return the configuration of the same tower in transformers; None if it has more than transformers' does."""
    from open_clip.transformer import QuickGELU, ResidualAttentionBlock, VisionTransformer

    if type(visual) is not VisionTransformer or visual.attn_pool is not None or visual.pool_type != "tok":
        return None
    blocks = list(visual.transformer.resblocks)
    if not isinstance(visual.patch_dropout, nn.Identity) or not isinstance(visual.ln_pre, nn.LayerNorm):
        return None
    if not blocks or any(type(each) is not ResidualAttentionBlock for each in blocks) or visual.output_tokens:
        return None
    if not all(isinstance(each.ls_1, nn.Identity) and isinstance(each.ls_2, nn.Identity) for each in blocks):
        return None
    activation = blocks[0].mlp.gelu
    exact = isinstance(activation, nn.GELU) and activation.approximate == "none"
    norms = {module.eps for module in visual.modules() if isinstance(module, nn.LayerNorm)}
    if not (exact or isinstance(activation, QuickGELU)) or len(norms) != 1 or visual.proj is None:
        return None
    if len(set(visual.image_size)) > 1 or len(set(visual.patch_size)) > 1:
        return None
    config = CLIPVisionConfig(
        hidden_size=visual.conv1.out_channels,
        intermediate_size=blocks[0].mlp.c_fc.out_features,
        num_hidden_layers=len(blocks),
        num_attention_heads=blocks[0].attn.num_heads,
        image_size=visual.image_size[0],
        patch_size=visual.patch_size[0],
        hidden_act="gelu" if exact else "quick_gelu",
        layer_norm_eps=norms.pop(),
    )
    config._attn_implementation = "sdpa"
    return config
