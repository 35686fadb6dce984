"""The queue: who may start, who makes room for whom, why the others wait and until when; and the quotas of projects."""
