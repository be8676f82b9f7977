"""A plugin of pytest: kernels with the kit's provisioner are forked from a process that has imported MLflow."""

from workshop.runner import kernels

kernels.begin_warming()
