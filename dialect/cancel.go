package dialect

// ContentTypeCancel is the content type of a veto: what a gate answers, with 200 and the body
// {"reason": "..."}, to a question that it says no to. That of servo,
// application/vnd.opsani.servo.errors.CancelEventError+json, will do too, and either in every
// dialect.
const ContentTypeCancel = "application/vnd.riverhook.cancel+json"
