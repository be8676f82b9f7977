"""The criteria of the course: functions of facts, one module a part."""
