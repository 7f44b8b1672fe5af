package delivery

// The windows in which a crash must lose nothing. Tests kill a process in them.
const (
	pointExpanded = "expanded" // deliveries are committed, no request has gone out
	pointLoading  = "loading"  // a large message is about to be loaded for its request
	pointAnswered = "answered" // the endpoint has answered, nothing is recorded
	pointRecorded = "recorded" // the attempt is recorded, River does not know that its job is done
)

// at is called where a crash would hurt most. Without a test it does nothing.
func (e *Engine) at(point string) {
	if e.fault != nil {
		e.fault(point)
	}
}
