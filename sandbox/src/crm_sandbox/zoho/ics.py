"""Meetings in the iCalendar format (RFC 5545), which a bulk read offers beside CSV."""

HEAD = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Sandbox//Meetings//EN\r\n"
TAIL = "END:VCALENDAR\r\n"
_EVENT = (
    "concat('BEGIN:VEVENT', {end}, 'UID:', {t}.id, {end}, 'SUMMARY:', {t}.\"Event_Title\", {end}, "
    "'DTSTART:', strftime({t}.\"Start_DateTime\", '{stamp}'), {end}, "
    "'DTEND:', strftime({t}.\"End_DateTime\", '{stamp}'), {end}, 'END:VEVENT', {end})"
)


def event_sql(alias: str) -> str:
    """Return SQL that makes one meeting's lines."""
    return _EVENT.format(t=alias, end="chr(13) || chr(10)", stamp="%Y%m%dT%H%M%SZ")
