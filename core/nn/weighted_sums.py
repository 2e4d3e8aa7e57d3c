"""Weighted sums of table rows, to which sampling a map at points comes down, and their gradients, for CPU and GPU."""

import warnings

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.sparse import csr_matrix
from torch import Tensor

with warnings.catch_warnings():  # torch says once a process that sparse tensors are in beta
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.long), torch.tensor([]), size=(1, 1))


def weighted_sums(
    table: Float[Tensor, "r d"], index: Int[Tensor, "m k"], weight: Float[Tensor, "m k"]
) -> Float[Tensor, "m d"]:
    """The sum over k of weight[m, k] * table[index[m, k]]."""
    return F.embedding_bag(index, table, mode="sum", per_sample_weights=weight)


def weighted_sums_backward(
    table: Float[Tensor, "r d"], index: Int[Tensor, "m k"], weight: Float[Tensor, "m k"], gradient: Float[Tensor, "m d"]
) -> tuple[Float[Tensor, "r d"], Float[Tensor, "m k"]]:
    """Gradients of table and weight, given the gradient of the sums."""
    if table.device.type == "cpu":
        return table_gradient(table, index, weight, gradient), weight_gradient(table, index, gradient)
    return autograd_gradients(table, index, weight, gradient)


def autograd_gradients(table: Tensor, index: Tensor, weight: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of table and weight by torch's own derivative, which is fast on a GPU and slow on a CPU."""
    with torch.enable_grad():
        table, weight = table.detach().requires_grad_(), weight.detach().requires_grad_()
        to_table, to_weight = torch.autograd.grad(weighted_sums(table, index, weight), (table, weight), gradient)
    return to_table, to_weight


def table_gradient(table: Tensor, index: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of each row on the CPU: a transposed sparse matrix times a dense one, which scipy does without sorting."""
    start = np.arange(0, index.numel() + 1, index.shape[1], dtype=index.numpy().dtype)
    parts = weight.flatten().numpy(), index.flatten().numpy(), start
    return torch.from_numpy(csr_matrix(parts, shape=(len(index), len(table))).T @ gradient.numpy())


def weight_gradient(table: Tensor, index: Tensor, gradient: Tensor) -> Tensor:
    """The gradient of each weight on the CPU: the product of its sum's gradient and its row, and no other products."""
    start = torch.arange(0, index.numel() + 1, index.shape[1], dtype=index.dtype)
    wanted = torch.sparse_csr_tensor(
        start, index.flatten(), table.new_zeros(index.numel()), (len(index), len(table)), check_invariants=False
    )
    return torch.sparse.sampled_addmm(wanted, gradient, table.mT, beta=0.0).values().view_as(index)
