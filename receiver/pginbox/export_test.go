package pginbox

// HandOnAtOnce gives up the time that an inbox leaves to others after its start. It
// must be called before Start.
func (in *Inbox) HandOnAtOnce() { in.heart.HandOnAtOnce() }
