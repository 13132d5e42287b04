"""Training by several processes of one thread each, which take a micro-batch of each step apiece."""
import multiprocessing
import os

import torch


def run(train, args, port, *more):
    """Calls train(rank, args, *more) in args.workers processes and waits for them."""
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", str(port))
    workers = [multiprocessing.get_context("fork").Process(target=train, args=(rank, args, *more)) for rank in range(args.workers)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    if any(w.exitcode for w in workers):
        raise SystemExit("a worker failed")


def averaged(parameters, numbers, workers):
    """Gives every worker the mean of the gradients, and of `numbers`, which it returns as a tensor."""
    shared, at = torch.cat([p.grad.flatten() for p in parameters] + [torch.tensor(numbers, device=parameters[0].device)]), 0
    if workers > 1:
        torch.distributed.all_reduce(shared)
        shared /= workers
    for p in parameters:
        p.grad = shared[at:at + p.numel()].view_as(p)
        at += p.numel()
    return shared[at:]
