"""What a failed task had logged."""

from __future__ import annotations

from components.task_log import error_in


def test_the_log_of_the_task_that_failed_says_why() -> None:
    def line(task: str, text: str) -> str:
        return f"com.docker.swarm.node.id=n,com.docker.swarm.task.id={task} {text}\n"

    refused = r'"s3aws: AccessDenied: Access \"x\"\n\tstatus code: 403"'
    log = (
        line("old", 'time="t" level=error msg="of another task"')
        + line("new", 'time="t" level=info msg="listening on :5999"')
        + line("new", f'time="t" level=error msg="response completed" err.detail={refused} v="3"')
        + line("new", "The registry can't read its storage: the lines above say why.")
        + "a line without details\n"
    )
    assert error_in(log, "new") == refused[1:-1]
    assert error_in(log, "old") == "of another task"
    assert error_in(line("new", '{"err.detail":"in JSON","level":"error"}'), "new") == "in JSON"
    assert error_in(line("new", "sh: no such file"), "new") == "sh: no such file"
    assert error_in(log, "unknown") == ""
