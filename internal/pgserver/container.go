package pgserver
import ("context";"errors")
func (m *machine) startContainer(context.Context, *Opts) (*Server, error) { return nil, errors.New("none") }
func (m *machine) startEmbedded(context.Context, *Opts) (*Server, error) { return nil, errors.New("none") }
