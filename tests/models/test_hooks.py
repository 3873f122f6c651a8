"""Checked hooks: what does not fire is an error, and nothing is left behind."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from interp.models.hooks import HookError, activations, attached_hooks, checked_hooks, hook_name, logits


def leave(activation, hook):
    return activation


def test_unknown_name_is_refused_with_the_nearest(model):
    with pytest.raises(HookError, match="blocks.0.attn.hook_z"), checked_hooks(model, {"blocks.0.attn.hook_zz": leave}):
        pass


def test_layer_out_of_range_is_refused(model):
    with pytest.raises(HookError, match="no hook 'blocks.99"), checked_hooks(model, {hook_name("hook_z", 99): leave}):
        pass


def test_gated_hook_is_refused_not_ignored(model, windows):
    name = "blocks.0.attn.hook_result"
    with pytest.raises(HookError), checked_hooks(model, {name: leave}):
        logits(model, windows.tokens)


def test_hook_that_does_not_fire_is_an_error(model):
    with (
        pytest.raises(HookError, match="did not fire the expected"),
        checked_hooks(model, {hook_name("hook_z", 0): leave}),
    ):
        pass  # no forward pass


def test_hook_that_fires_twice_is_an_error(model, windows):
    with (
        pytest.raises(HookError, match="did not fire the expected"),
        checked_hooks(model, {hook_name("hook_z", 0): leave}),
    ):
        logits(model, windows.tokens)
        logits(model, windows.tokens)


def test_hooks_are_removed_after_an_exception_and_others_are_left_alone(model, windows):
    seen = []
    point = model.hook_dict[hook_name("hook_z", 0)]
    before = len(point.fwd_hooks)
    model.add_hook(hook_name("hook_z", 0), lambda a, hook: seen.append(a.shape))
    try:
        with pytest.raises(ZeroDivisionError), checked_hooks(model, {hook_name("hook_z", 0): lambda a, hook: 1 / 0}):
            logits(model, windows.tokens)
        assert len(point.fwd_hooks) == before + 1
        seen.clear()
        logits(model, windows.tokens)
        assert len(seen) == 1
    finally:
        model.reset_hooks()


def test_identity_hook_changes_nothing(model, windows):
    clean = logits(model, windows.tokens)
    hooks = {
        hook_name(site, layer): leave for site in ("hook_z", "hook_resid_pre") for layer in range(model.cfg.n_layers)
    }
    with checked_hooks(model, hooks) as fired:
        hooked = logits(model, windows.tokens)
    assert torch.equal(clean, hooked)
    assert set(fired.values()) == {1}


def test_activations_have_the_documented_shapes(model, windows):
    cfg = model.cfg
    names = [hook_name(site, cfg.n_layers - 1) for site in ("hook_resid_pre", "hook_z", "hook_pattern")]
    resid, z, pattern = activations(model, windows.tokens, names).values()
    n, pos = windows.tokens.shape
    assert resid.shape == (n, pos, cfg.d_model)
    assert z.shape == (n, pos, cfg.n_heads, cfg.d_head)
    assert pattern.shape == (n, cfg.n_heads, pos, pos)
    torch.testing.assert_close(pattern.sum(-1), torch.ones(n, cfg.n_heads, pos))


def test_operations_can_be_counted(models, windows):
    """torch's counter hooks every module and changes nothing; any other hook of every module is refused."""
    model = models["Pythia"]
    with FlopCounterMode(display=False) as counter:
        assert attached_hooks(model) == []
        logits(model, windows.tokens[:1])
    assert counter.get_total_flops() > 0
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        assert attached_hooks(model) == ["every module"]
    finally:
        handle.remove()
