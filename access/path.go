package access

import "strings"

// Path names a site: "/", or segments that each begin with "/", such as
// "/noaa/nws/oun". It is the Path of package hierarchy, which checks those that come
// from outside by ParsePath. The methods take any value and treat "" as "/".
type Path string

const root Path = "/"

// Ancestors are the paths from p itself up to "/", nearest first.
func (p Path) Ancestors() []Path {
	chain := make([]Path, 0, 1+strings.Count(string(p), "/"))
	for p != "" && p != root {
		chain = append(chain, p)
		p = p.Parent()
	}
	return append(chain, root)
}

// Contains says whether q is p or lies below p.
func (p Path) Contains(q Path) bool {
	if p == "" || p == root || p == q {
		return true
	}
	return len(q) > len(p) && q[len(p)] == '/' && q[:len(p)] == p
}

// Parent is the path without its last segment. The parent of "/" is "/".
func (p Path) Parent() Path {
	if i := strings.LastIndexByte(string(p), '/'); i > 0 {
		return p[:i]
	}
	return root
}
