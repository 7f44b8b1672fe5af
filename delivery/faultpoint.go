package delivery

// pointExpanded is a point at which a crash must lose nothing, as those of package send
// are: deliveries are committed, no request has gone out.
const pointExpanded = "expanded"

// at is called where a crash would hurt most. Without a test it does nothing.
func (e *Engine) at(point string) {
	if e.fault != nil {
		e.fault(point)
	}
}
