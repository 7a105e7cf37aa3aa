import { mount } from 'svelte';
import './app.css';
import Root from './Root.svelte';
import { openBackend } from './lib/backend';

const target = document.getElementById('app');
if (!target) throw new Error('The page has no #app.');
const backend = await openBackend();
mount(Root, { target, props: { backend } });
