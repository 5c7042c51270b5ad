"""A batch of embeddings of three fields, some absent, two rows of one scene, and a numeric check of gradients."""

import numpy as np
import paddle

FIELDS = ("image", "text", "audio")
ROWS, DIM = 6, 5
PRESENT = {
    "image": [True, True, True, False, True, True],
    "text": [True, True, False, True, True, True],
    "audio": [True, False, True, True, True, True],
}
SCENE = [11, 22, 11, 33, -1, -1]
CAPTION = [5, 6, 7, 8, 5, 9]


def example(seed=0, absent=0.0, rows=ROWS, dim=DIM):
    """Outputs and batch; what stands at absent fields is ``absent``."""
    rng = np.random.default_rng(seed)
    outputs, batch = {}, {}
    for field in FIELDS:
        present = np.array((PRESENT[field] * rows)[:rows])
        embed = rng.normal(size=(rows, dim)).astype("float32")
        embed[~present] = absent
        outputs[f"{field}_embed"] = paddle.to_tensor(embed, stop_gradient=False)
        batch[f"has_{field}"] = paddle.to_tensor(present)
    batch["scene"] = paddle.to_tensor(np.array((SCENE * rows)[:rows]))
    batch["caption"] = paddle.to_tensor(np.array((CAPTION * rows)[:rows]))
    batch["index"] = paddle.arange(rows)
    return outputs, batch


def units(outputs, field):
    """The embeddings as float64 [B,D] of length 1."""
    embed = outputs[f"{field}_embed"].numpy().astype(float)
    return embed / np.linalg.norm(embed, axis=1, keepdims=True)


def belongs(batch, i, j, keys):
    """Whether rows i and j are positives of one another."""
    values = [batch[key].numpy() for key in keys]
    return i == j or any(value[i] == value[j] != -1 for value in values)


def together(batch, *fields):
    """Rows that have all of the fields."""
    return [i for i in range(len(batch["index"])) if all(bool(batch[f"has_{field}"][i]) for field in fields)]


def assert_gradients(objective, outputs, batch, names, step=1e-2, tolerance=2e-2):
    """The gradient of the loss along a random direction equals the central difference."""
    rng = np.random.default_rng(9)
    for name in names:
        tensor = outputs[name]
        way = rng.normal(size=tensor.shape).astype("float32")
        fresh = {key: value.detach() for key, value in outputs.items()}
        fresh[name].stop_gradient = False
        objective(fresh, batch)["loss"].backward()
        gradient = fresh[name].grad.numpy()
        assert np.isfinite(gradient).all() and gradient.any(), name
        moved = [{**fresh, name: tensor.detach() + sign * step * paddle.to_tensor(way)} for sign in (1, -1)]
        ahead, behind = (float(objective(each, batch)["loss"]) for each in moved)
        found, wanted = float((gradient * way).sum()), (ahead - behind) / (2 * step)
        assert abs(found - wanted) <= tolerance * max(1.0, abs(wanted)), (name, found, wanted)


def assert_absent_rows_do_not_matter(objective, names=FIELDS):
    """Neither the loss nor a gradient depends on what stands at absent fields, and these get no gradient."""
    losses, gradients = [], []
    for absent in (0.0, 7.0, float("nan"), float("inf")):
        outputs, batch = example(absent=absent)
        loss = objective(outputs, batch)["loss"]
        loss.backward()
        losses.append(float(loss))
        gradients.append([outputs[f"{field}_embed"].grad.numpy() for field in names])
        for field, gradient in zip(names, gradients[-1], strict=True):
            assert np.isfinite(gradient).all() and not gradient[~batch[f"has_{field}"].numpy()].any()
    assert np.isfinite(losses).all() and losses == [losses[0]] * 4
    for other in gradients[1:]:
        for one, two in zip(gradients[0], other, strict=True):
            assert np.array_equal(one, two)
