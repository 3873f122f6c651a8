"""The registry against the configurations that it describes."""

from dataclasses import asdict

import pandas as pd
import pytest
import torch
from transformers import AutoModelForCausalLM

from interp.models.registry import UnknownModelError, find, registry, small_models
from interp.planted.shapes import SHAPES, SMALL_FAMILIES, small_config


def test_twenty_real_and_eighteen_small_models():
    table = pd.DataFrame([asdict(spec) for spec in registry().values()])
    assert (~table["small"]).sum() == 20
    assert table["small"].sum() == 18
    sizes = table[~table["small"]].groupby("family").size()
    assert sizes.to_dict() == {"Pythia": 6, "OpenLLaMA": 3, "StarCoder": 3, "OLMo1": 2, "OLMo2": 4, "OLMo3": 2}
    assert table["name"].is_unique


def test_heads_divide_the_width_of_every_model():
    for spec in registry().values():
        assert spec.n_heads * spec.d_head == spec.d_model, spec.name
        assert spec.n_heads % spec.n_kv_heads == 0, spec.name


@pytest.mark.parametrize("size", SHAPES)
def test_small_specs_describe_the_built_models(family, size):
    spec = small_models(family)[list(SHAPES).index(size)]
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(small_config(family, size))
    assert type(model).__name__ == spec.architecture
    assert sum(p.numel() for p in model.parameters()) == spec.n_params
    assert model.get_input_embeddings().weight.shape == (spec.d_vocab, spec.d_model)
    config = model.config
    assert (spec.n_layers, spec.n_heads) == (config.num_hidden_layers, config.num_attention_heads)
    keys = dict(model.named_parameters())
    if family == "StarCoder":  # queries, keys and values are one matrix
        assert spec.d_model + 2 * spec.n_kv_heads * spec.d_head == len(keys["transformer.h.0.attn.c_attn.weight"])
    elif family != "Pythia":
        assert spec.n_kv_heads * spec.d_head == len(keys["model.layers.0.self_attn.k_proj.weight"])
    assert spec.d_mlp in {len(weight) for name, weight in keys.items() if ".mlp." in name}
    assert spec.n_ctx == config.max_position_embeddings
    assert spec.tied_embeddings == config.tie_word_embeddings
    assert spec.parallel_residual == getattr(config, "use_parallel_residual", False)
    assert spec.qk_norm == any("q_norm" in name for name in keys)
    assert spec.sliding_window == getattr(config, "sliding_window", None)
    assert (spec.positional == "rope") == (getattr(config, "rope_parameters", None) is not None)
    beyond = spec.n_params - spec.d_vocab * spec.d_model * (1 if spec.tied_embeddings else 2)
    assert beyond == pytest.approx(float(size.rstrip("m")) * 1e6, rel=0.2)


def test_every_family_keeps_what_makes_it_itself():
    largest = {family: small_config(family, "1.2m") for family in SMALL_FAMILIES}
    assert largest["Pythia"].use_parallel_residual
    assert 0 < largest["Pythia"].rope_parameters["partial_rotary_factor"] < 0.5
    assert largest["StarCoder"].multi_query
    assert largest["OLMo3"].num_key_value_heads < largest["OLMo3"].num_attention_heads
    assert largest["OLMo3"].sliding_window < 32
    assert set(largest["OLMo3"].layer_types) == {"sliding_attention", "full_attention"}


def test_find_by_name_and_hub_id():
    assert find("olmo2-7b") is find("allenai/OLMo-2-1124-7B")
    with pytest.raises(UnknownModelError, match="olmo2-7b"):
        find("olmo2-7")
