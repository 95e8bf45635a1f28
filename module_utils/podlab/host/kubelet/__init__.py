"""The kubelet of a host: what a pod needs beyond a supervisor. Order of init containers, probes, lifecycle hooks.

s6 starts containers, watches them and starts them again. This daemon tells it when a container's turn has come
(``s6-svc -u``), probes containers, ends unhealthy ones, and leaves what it knows in files: ``health`` in a container's
s6 directory, ``events`` beside a pod's config. It has no state but these files, so it may be killed at any time and
goes on from what is there. Semantics are those of release 1.30: pkg/kubelet/prober (worker.go, prober.go),
pkg/kubelet/lifecycle, pkg/kubelet/kuberuntime (computePodActions, killContainer);
https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ tells them.

From the top: ``node`` watches the pods of this host, ``pod`` orders the containers of one, ``container`` follows the
starts of one, ``prober`` and ``handlers`` run its probes and hooks, ``termination`` ends it. podlab's modules use
``s6`` and ``termination`` as well, so that containers which a change takes away end by the same rules.

It is a package in the clone and one file on a host (``controller/single_file.py``).
"""
