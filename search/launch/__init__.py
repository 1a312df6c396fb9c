"""Starting workers: supervised processes here, jobs on Slurm, Ray and Kubernetes."""
