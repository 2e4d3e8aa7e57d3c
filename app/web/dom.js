// Elements from plain data. Text goes in as text nodes only, so a class name with markup in it stays a class name.
const SVG = 'http://www.w3.org/2000/svg';

function make(tag, attributes, ...children) {
  return furnish(document.createElement(tag), attributes, children);
}

function draw(tag, attributes, ...children) {
  return furnish(document.createElementNS(SVG, tag), attributes, children);
}

function furnish(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.flat().filter(child => child !== null && child !== undefined));
  return node;
}

// Components of one page tell one another what was chosen without a trip to the server.
function tell(name, detail) {
  document.dispatchEvent(new CustomEvent('detrdistill:' + name, {detail}));
}

function hear(name, answer) {
  const listen = event => element.isConnected ? answer(event.detail) : document.removeEventListener('detrdistill:' + name, listen);
  document.addEventListener('detrdistill:' + name, listen);
}
