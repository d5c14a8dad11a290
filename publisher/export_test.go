package publisher

// NotThere is the answer that is known without being read.
func NotThere() []byte { return notThere }

const MostAsked = mostAsked
