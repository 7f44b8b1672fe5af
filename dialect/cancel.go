package dialect

// The content types of a veto: what a gate answers, with 200 and the body
// {"reason": "..."}, to a question that it says no to. Either will do in every
// dialect.
const (
	// ContentTypeCancel is Riverhook's own.
	ContentTypeCancel = "application/vnd.riverhook.cancel+json"

	// ContentTypeServoCancel is that of servo.
	ContentTypeServoCancel = "application/vnd.opsani.servo.errors.CancelEventError+json"
)
