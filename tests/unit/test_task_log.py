"""What a failed task had logged."""

from __future__ import annotations

from components.swarm.task_log import error_in


def test_the_log_of_a_task_that_failed_says_why() -> None:
    refused = r'"s3aws: AccessDenied: Access \"x\"\n\tstatus code: 403"'
    log = (
        'time="t" level=info msg="listening on :5999"\n'
        'time="t" level=error msg="an earlier one"\n'
        f'time="t" level=error msg="response completed" err.detail={refused} v="3"\n'
        "The registry can't read its storage: the lines above say why.\n"
    )
    assert error_in(log) == refused[1:-1]
    assert error_in('{"err.detail":"in JSON","level":"error"}\n') == "in JSON"
    assert error_in("sh: no such file\n") == "sh: no such file"
    assert error_in("") == ""
