from lab.adapters.places import places


def test_roles_are_last_parts_and_longer_only_where_a_layer_would_mix_modules_up():
    at, roles = places(["model.layers.0.self_attn.q_proj", "model.layers.2.self_attn.q_proj", "model.layers.2.mlp.up_proj"])
    assert roles == ["q_proj", "up_proj"]
    assert at == {"model.layers.0.self_attn.q_proj": (0, 0), "model.layers.2.self_attn.q_proj": (2, 0),
                  "model.layers.2.mlp.up_proj": (2, 1)}
    at, roles = places(["model.layers.1.mlp.experts.0.w1", "model.layers.1.mlp.experts.1.w1"])
    assert roles == ["mlp.experts.0.w1", "mlp.experts.1.w1"] and len(set(at.values())) == 2


def test_a_module_outside_the_layers_has_a_place_too():
    assert places(["lm_head"]) == ({"lm_head": (0, 0)}, ["lm_head"])
